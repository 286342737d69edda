"""What the first bytes of a file say: its encoding, and whether it is what its ending says."""

import codecs
import re
from typing import NamedTuple

FIRST = 1024
"""Bytes that are looked at."""
MOSTLY = 0.5
"""Share of zeros in a place of wide characters."""
TEXTS = ("csv", "tsv", "jsonl", "json", "txt", "fasta")
"""Formats that are written as text."""
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",  # before those of UTF-16, with which they begin
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
WIDE: dict[tuple[bool, ...], str] = {
    (False, True, False, True): "utf-16-le", (True, False, True, False): "utf-16-be",
    (False, True, True, True): "utf-32-le", (True, True, True, False): "utf-32-be",
}  # fmt: skip
"""Encodings by which of four bytes are mostly zero."""


class Contents(NamedTuple):
    """What begins with some bytes: its name, the formats that begin so, what to do with a file of another ending."""

    what: str
    kinds: tuple[str, ...]
    remedy: str


CONTENTS = {
    b"PK\x03\x04": Contents("a zip file, as spreadsheets are", ("xlsx", "npz"), "call it .xlsx, or unpack it"),
    b"PAR1": Contents("a parquet file", ("parquet",), "call it .parquet"),
    b"ARROW1": Contents("an Arrow file", ("arrow",), "call it .arrow"),
    b"\x1f\x8b": Contents("compressed", (), "add .gz to its name"),
    b"BZh9": Contents("compressed", (), "add .bz2 to its name"),
    b"\xfd7zXZ": Contents("compressed", (), "add .xz to its name"),
    b"\x28\xb5\x2f\xfd": Contents("compressed by zstd", (), "unpack it with unzstd"),
    b"\xd0\xcf\x11\xe0": Contents("a spreadsheet of the old format", (), "save it as xlsx"),
}


def encoding_of(first: bytes) -> str:
    """The encoding of a text by its first bytes; wide characters without a mark have zeros in the same places."""
    for mark, encoding in MARKS.items():
        if first.startswith(mark):
            return encoding
    places = [first[start::4] for start in range(4)]
    zeros = tuple(place.count(0) > MOSTLY * len(place) for place in places)
    return WIDE.get(zeros, "utf-8-sig")


def fault_of(first: bytes, kind: str) -> str:
    """Why a file of these first bytes is not of a format, and what to do; empty where it may be."""
    if first.startswith(b"version https://git-lfs"):
        return "a pointer of git-lfs and not the data: fetch it with git lfs pull"
    for start, contents in CONTENTS.items():
        if first.startswith(start) and kind not in contents.kinds:
            return f"{contents.what} and no {kind}: {contents.remedy}"
    if kind in TEXTS and re.match(rb"\s*<(!doctype|html|\?xml)", first.removeprefix(codecs.BOM_UTF8), re.IGNORECASE):
        return f"a web page and no {kind}: download the file that it shows"
    return ""

"""The parts of a spreadsheet, of which no more is held in memory than may be: a small file may have any number of elements."""

import zipfile
from typing import Any

from mla_train.data.packed import LINE, check_unpacked

PART_ELEMENT = 600
"""Bytes of an element of a part that is read as a whole, such as the styles: a tree, and the objects made of it."""


class Workbook(zipfile.ZipFile):
    """A spreadsheet whose elements are counted as they are read.

    Args:
        content: File, or an open one.
        size: Bytes of the file.
        name: Name of the file, for messages.

    Attributes:
        held: Bytes that the elements take in memory; whoever gives them up, such as after each row, sets it to 0.
        rows: Rows that were read of all sheets.
    """

    def __init__(self, content: Any, size: int, name: str) -> None:
        super().__init__(content)
        self.size, self.name, self.held, self.rows = size, name, 0, 0

    def read(self, name: Any, pwd: bytes | None = None) -> bytes:
        """A whole part; a UserError where too much would be made of it."""
        content = super().read(name, pwd)
        self.count(content, PART_ELEMENT)
        return content

    def open(self, *args: Any, **options: Any) -> Any:
        """A part as a stream, which raises a UserError where too much would be made of it."""
        return _Part(super().open(*args, **options), self)

    def count(self, content: bytes, cost: int = LINE) -> None:
        """Counts the elements and attributes of a piece of a part."""
        self.held += cost * (content.count(b"<") - content.count(b"</") + content.count(b"="))
        check_unpacked(self.held, self.size, self.name)


class _Part:
    """A stream of a part of a workbook."""

    def __init__(self, stream: Any, workbook: Workbook) -> None:
        self.stream, self.workbook = stream, workbook

    def read(self, *size: int) -> bytes:
        """A piece of the part."""
        piece: bytes = self.stream.read(*size)
        self.workbook.count(piece)
        return piece

    def close(self) -> None:
        """Closes the part."""
        self.stream.close()

    def __enter__(self) -> "_Part":
        """Itself."""
        return self

    def __exit__(self, *_: Any) -> None:
        """Closes the part."""
        self.close()

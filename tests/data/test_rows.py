"""Tables of all kinds, whole and broken."""

import bz2
import gzip
import json
import lzma

import pytest
from datasets import Dataset

from mla_train.data.rows import find_parts, read_rows
from mla_train.errors import UserError

ROWS = [{"text": "Grüße, ihr Lieben", "label": "de"}, {"text": 'said "no"\ntwice', "label": "en"}]


def write(folder, kind):
    file = folder / f"train{kind}"
    if kind == ".parquet":
        Dataset.from_list(ROWS).to_parquet(str(file))
        return file
    plain = kind.split(".")[1]
    if plain == "jsonl":
        content = "".join(json.dumps(row) + "\n" for row in ROWS)
    else:
        separator = "\t" if plain == "tsv" else ","
        cells = [[f'"{value.replace(chr(34), chr(34) * 2)}"' for value in row.values()] for row in ROWS]
        content = "\n".join(separator.join(row) for row in [["text", "label"], *cells]) + "\n"
    opener = {"gz": gzip.open, "xz": lzma.open, "bz2": bz2.open}.get(kind.split(".")[-1], open)
    with opener(file, "wb") as stream:
        stream.write(content.encode())
    return file


@pytest.mark.parametrize(
    "kind", [".jsonl", ".jsonl.gz", ".jsonl.xz", ".csv", ".csv.bz2", ".tsv", ".tsv.gz", ".parquet"]
)
def test_every_kind_gives_the_same_rows(kind, tmp_path):
    table = read_rows(write(tmp_path, kind))
    assert table.rows == ROWS
    assert table.columns == ["text", "label"]
    assert not table.broken
    assert find_parts(tmp_path) == {"train": tmp_path / f"train{kind}"}


def test_a_json_list_and_semicolons_as_spreadsheets_write_them(tmp_path):
    (tmp_path / "a.json").write_text('[{"a": 1},\n 7, {"a": 2}]')
    table = read_rows(tmp_path / "a.json")
    assert table.rows == [{"a": 1}, {"a": 2}]
    assert [place.rpartition(" ")[2] for place in table.broken] == ["2"]
    (tmp_path / "a.csv").write_text('text;label\n"well, well";good\n')
    assert read_rows(tmp_path / "a.csv").rows == [{"text": "well, well", "label": "good"}]


def test_broken_rows_are_named_by_line(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n\n{"a": \n{"a": "\xff"}\n[1]\n{"a": 2}\n')
    table = read_rows(tmp_path / "a.jsonl")
    assert [row["a"] for row in table.rows] == [1, 2]
    assert [place.rpartition(" ")[2] for place in table.broken] == ["3", "4", "5"]
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n4,5,6\n7,8\n")
    table = read_rows(tmp_path / "a.csv")
    assert [row["a"] for row in table.rows] == ["1", "7"]
    assert [place.rpartition(" ")[2] for place in table.broken] == ["3", "4"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "has no rows"),
        ("a.csv", b"text,label\n", "has no rows"),
        ("a.jsonl", b"\n\n", "has no rows"),
        ("a.csv", "text\ngut\nschön\n".encode("latin-1"), r"is not UTF-8 \(line 3\)"),
        ("a.txt", b"x", r"cannot read \.txt; use \.jsonl"),
        ("a.parquet", b"x", "cannot be read"),
        ("a.jsonl.gz", b"x", "cannot be read"),
    ],
)
def test_bad_files_are_explained(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_rows(tmp_path / name)


def test_missing_files_and_columns_are_named(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read_rows(tmp_path / "a.csv")
    with pytest.raises(UserError, match="no column sentence; there are text, label"):
        read_rows(write(tmp_path, ".csv")).column("sentence")
    with pytest.raises(UserError, match="there is no such folder"):
        find_parts(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no train file"):
        find_parts(tmp_path / "empty")


def test_validation_may_have_several_names(tmp_path):
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.csv").write_text("a\n1\n")
    assert set(find_parts(tmp_path)) == {"train", "val", "test"}


def test_quotes_inside_tab_separated_texts_are_text(tmp_path):
    file = tmp_path / "a.tsv"
    file.write_text('text\tlabel\n"Hi" he said\tx\n"never closed\ty\nplain\tz\n"and open again\tx\n')
    table = read_rows(file)
    assert table.broken == []
    assert [row["text"] for row in table.rows] == ['"Hi" he said', '"never closed', "plain", '"and open again']

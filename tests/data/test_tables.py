"""Tables of all kinds, whole and broken."""

import bz2
import gzip
import json
import lzma
import re

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.config import TableOptions
from mla_train.data.tables import open_source
from mla_train.data.tables.cells import as_numbers, as_text, is_missing, is_row_number
from mla_train.data.tables.splits import find_parts, named_files
from mla_train.data.tables.table import read_table
from mla_train.errors import UserError

ROWS = [{"text": "Grüße, ihr Lieben", "label": "de"}, {"text": 'said "no"\ntwice', "label": "en"}]


def rows_of(table):
    return [dict(zip(table.cells, row, strict=True)) for row in zip(*table.cells.values(), strict=True)]


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
    table = read_table(write(tmp_path, kind))
    assert rows_of(table) == ROWS
    assert table.columns == ["text", "label"]
    assert not table.broken
    assert find_parts(tmp_path) == {"train": [tmp_path / f"train{kind}"]}


def test_a_json_list_and_semicolons_as_spreadsheets_write_them(tmp_path):
    (tmp_path / "a.json").write_text('[{"a": 1},\n 7, {"a": 2}]')
    table = read_table(tmp_path / "a.json")
    assert rows_of(table) == [{"a": 1}, {"a": 2}]
    assert [re.search(r"(item|line) (\d)", place)[2] for place in table.broken] == ["2"]
    (tmp_path / "a.csv").write_text('text;label\n"well, well";good\n')
    assert rows_of(read_table(tmp_path / "a.csv")) == [{"text": "well, well", "label": "good"}]


def test_broken_rows_are_named_by_line(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n\n{"a": \n{"a": "\xff"}\n[1]\n{"a": 2}\n')
    table = read_table(tmp_path / "a.jsonl")
    assert table.cells["a"] == [1, 2]
    assert [re.search(r"line (\d)", place)[1] for place in table.broken] == ["3", "4", "5"]
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n4,5,6\n7,8\n")
    table = read_table(tmp_path / "a.csv")
    assert table.cells["a"] == ["1", "7"]
    assert [re.search(r"line (\d)", place)[1] for place in table.broken] == ["3", "4"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "has no rows"),
        ("a.csv", b"text,label\n", "has no rows"),
        ("a.jsonl", b"\n\n", "has no rows"),
        ("a.csv", "täxt\ngut\n".encode("latin-1"), r"line 1 is not UTF-8: .*data\.encoding="),
        ("a.odt", b"x", r"cannot read \.odt; use \.csv"),
        ("a.parquet", b"x", "cannot be read"),
        ("a.jsonl.gz", b"x", "cannot be read"),
    ],
)
def test_bad_files_are_explained(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_table(tmp_path / name)


def test_missing_files_and_columns_are_named(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read_table(tmp_path / "a.csv")
    with pytest.raises(UserError, match="no column sentence; there are text, label"):
        read_table(write(tmp_path, ".csv")).column("sentence")
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
    table = read_table(file)
    assert table.broken == []
    assert table.cells["text"] == ['"Hi" he said', '"never closed', "plain", '"and open again']


def from_bytes(folder, content, name="a.csv", **options):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(file, TableOptions(**options))


LINES = "".join(f"{'good' if i % 2 else 'bad'},film {i}\n" for i in range(30))


@pytest.mark.parametrize(
    ("content", "columns", "count", "note"),
    [
        ('label,text\ngood,"nice film\n' + LINES + 'bad,sad film"\n', ["label", "text"], 32, "do not close"),
        ('label,text\ngood,"never closed\n' + LINES, ["label", "text"], 31, "the first in line 2"),
        (",text,label\n" + "".join(f"{i},a b {i},good\n" for i in range(9)), ["text", "label"], 9, ""),
        ("text,label,\n" + "a b,good,\n" * 9, ["text", "label"], 9, ""),
        ("text,label\n" + "1,a b,good\n2,c,bad\n" * 9, ["text", "label"], 18, ""),
        ("text;label\n" + "a, b;good\nc, d, e;bad\n" * 9, ["text", "label"], 18, "semicolon"),
        ("sep=;\ntext;label\n" + "a, b;good\n" * 9, ["text", "label"], 9, "semicolon"),
        ("# made by hand\n# twice\ntext;label\n" + "a;good\nb;bad\n" * 9, ["text", "label"], 18, "header is line 3"),
        ('text\na, b, c\nd; e\n"f\ng"\n   \n', ["text"], 3, ""),
        ("text,label\r\na,b\r\n\r\nc,d\r\n  \r\n", ["text", "label"], 2, ""),
        ("text,label\ra,b\rc,d\r", ["text", "label"], 2, ""),
        ("a fine film,1\n" + "a film,0\nfilm,1\n" * 9, ["column_1", "column_2"], 19, "no header"),
        ("label,0,1,2\n" + "a,0.5,1,2\nb,1.5,2,3\n" * 9, ["label", "0", "1", "2"], 18, ""),
        ("text,label\n" + "x" * 300_000 + ",good\nb,bad\n", ["text", "label"], 2, ""),
        ("text,label\na\0b,good\n", ["text", "label"], 1, ""),
        (b"\xef\xbb\xbftext,label\na,b\n", ["text", "label"], 1, ""),
        ("text,label\nä,b\n".encode("utf-16"), ["text", "label"], 1, ""),
        ('text\tlabel\n\'tis "fine"\tgood\n"Hi" he said\tbad\n', ["text", "label"], 2, ""),
    ],
)
def test_odd_files_are_read_whole(content, columns, count, note, tmp_path):
    table = from_bytes(tmp_path, content, "a.tsv" if "\t" in str(content) else "a.csv")
    assert table.columns == columns
    assert (len(table), table.broken) == (count, [])
    assert note in " ".join(table.notes)


def test_cells_that_look_swallowed_but_are_not_stay_whole(tmp_path):
    poem = "roses are red, violets\nare blue, sugar, is sweet\nand so\nare you"
    table = from_bytes(tmp_path, f'text,label\n"{poem}",good\n"a ""b"", c",bad\n')
    assert table.cells["text"] == [poem, 'a "b", c']


def test_what_is_named_is_taken(tmp_path):
    assert from_bytes(tmp_path, "ä,b\n".encode("cp1252"), encoding="cp1252", header=False).cells["column_1"] == ["ä"]
    assert from_bytes(tmp_path, "a,b;c\n1,2;3\n", separator=";").columns == ["a,b", "c"]
    assert from_bytes(tmp_path, "a,b\n1,2\n", header=False).cells["column_1"] == ["a", "1"]
    with pytest.raises(UserError, match=r"data\.encoding=klingon"):
        from_bytes(tmp_path, "a,b\n", encoding="klingon")
    with pytest.raises(UserError, match="several columns a"):
        from_bytes(tmp_path, "a,b,a\n1,2,3\n").column("a")


@pytest.mark.parametrize(
    "content",
    [
        '\ufeff[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]',
        '{"a": [1, 2], "b": ["x", "y"]}',
        '{"a": {"0": 1, "1": 2}, "b": {"0": "x", "1": "y"}}',
        '{\n "data": [\n {"a": 1, "b": "x"},\n {"a": 2, "b": "y"}]}',
        '{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n',
    ],
)
def test_json_of_all_shapes(content, tmp_path):
    assert from_bytes(tmp_path, content, "a.json").cells == {"a": [1, 2], "b": ["x", "y"]}


def test_columns_that_appear_later_are_columns(tmp_path):
    table = from_bytes(tmp_path, '{"a": 1}\n{"a": 2, "b": "x"}\n', "a.jsonl")
    assert table.cells == {"a": [1, 2], "b": [None, "x"]}


def test_spreadsheets_arrays_and_arrow_files(tmp_path):
    frame = pd.DataFrame({"text": ["a", "b"], "n": [1, 2]})
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in ([None, None], ["text", "n"], ["a", 1], ["b", 2]):
        book.active.append(row)
    book.create_sheet("other")
    book.save(tmp_path / "a.xlsx")
    np.savez(tmp_path / "a.npz", text=np.array(["a", "b"]), n=np.array([1, 2]))
    frame.to_feather(tmp_path / "a.arrow")
    with pyarrow.OSFile(str(tmp_path / "b.arrow"), "wb") as sink:
        table = pyarrow.Table.from_pandas(frame)
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    for name in ("a.xlsx", "a.npz", "a.arrow", "b.arrow"):
        table = read_table(tmp_path / name)
        assert list(map(str, table.column("text"))) == ["a", "b"], name
        assert [int(n) for n in table.column("n")] == [1, 2]
    assert "2 sheets" in read_table(tmp_path / "a.xlsx").notes[0]


def test_parts_of_a_split_are_read_in_order(tmp_path):
    for number in range(3):
        frame = pd.DataFrame({"text": [f"{number}a", f"{number}b"], "label": ["x", "y"]})
        frame.to_parquet(tmp_path / f"train-0000{number}-of-00003.parquet")
    parts = find_parts(tmp_path)["train"]
    assert [file.name[:11] for file in parts] == ["train-00000", "train-00001", "train-00002"]
    assert named_files(str(tmp_path / "train-*.parquet"), "train") == parts
    assert named_files([str(file) for file in parts], "train") == parts
    assert named_files(str(tmp_path), "train") == parts
    with pytest.raises(UserError, match=r"data\.train=.*no file there can be read"):
        named_files(str(tmp_path / "*.csv"), "train")


@pytest.mark.parametrize(
    ("cells", "numbers", "note"),
    [
        (["987", "1,001", "1,043"], [987, 1001, 1043], "thousands comma"),
        (["1,5", "2,25"], [1.5, 2.25], "decimal comma"),
        (["1.234,5", "2"], [1234.5, 2], "thousands point and decimal comma"),
        (["1,234,567", "3"], [1234567, 3], "thousands comma"),
        (["0,123", "0,456"], [0.123, 0.456], "decimal comma"),
        (["1\u00a0234,5", "2,5"], [1234.5, 2.5], "decimal comma"),
        (["1.001", "2.002"], [1.001, 2.002], ""),
        (["1e-9", "?", "NA", ""], [1e-9, np.nan, np.nan, np.nan], ""),
        ([1, None, 2.5], [1, np.nan, 2.5], ""),
        (["01.02.2024", "02.02.2024"], None, ""),
        (["a", "b", "3"], None, ""),
    ],
)
def test_numbers_as_people_write_them(cells, numbers, note):
    notes = []
    found = as_numbers("y", cells, TableOptions(), notes)
    if numbers is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found.astype(float), numbers)
    assert note in " ".join(notes)


def test_what_cannot_be_known_is_asked():
    with pytest.raises(UserError, match=r"1,001 may be .*data\.decimal=','.*data\.thousands=','"):
        as_numbers("y", ["1,001", "2,002"], TableOptions(), [])
    assert list(as_numbers("y", ["1,001", "2,002"], TableOptions(decimal=","), [])) == [1.001, 2.002]
    assert list(as_numbers("y", ["1,001", "2,002"], TableOptions(thousands=","), [])) == [1001, 2002]
    with pytest.raises(UserError, match=r"'-200x' in row 3 is no number.*data\.na_values=\['-200x'\]"):
        as_numbers("y", ["1", "2", "-200x"], TableOptions(), [])
    assert np.isnan(as_numbers("y", ["1", "2", "-200"], TableOptions(na_values=["-200"]), [])[2])


def test_missing_is_one_rule():
    assert all(map(is_missing, [None, float("nan"), "", "  ", "NaN", "null", "None", "N/A"]))
    assert not any(map(is_missing, [0, "0", "NA", "no", False]))
    assert is_missing("-9", ["-9"])
    assert as_text(b"gr\xc3\xbcn") == "grün"
    assert as_text("cut \ud83d") == "cut \N{REPLACEMENT CHARACTER}"
    with pytest.raises(TypeError, match="not list"):
        as_text(["a"])


@given(st.lists(st.tuples(st.text(max_size=8), st.sampled_from(["good", "bad"])), min_size=1, max_size=8))
def test_what_csv_writes_is_read_back(rows):
    import csv
    import tempfile

    rows = [(text.replace("\0", ""), label) for text, label in rows]
    rows = [(text.encode("utf-8", "replace").decode(), label) for text, label in rows]
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/a.csv"
        with open(file, "w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("text", "label"), *rows])
        read = [(row.cells["text"], row.cells["label"], row.error) for row in open_source(file).rows]
    assert read == [(text, label, "") for text, label in rows]


@settings(max_examples=200)
@given(
    st.one_of(st.binary(max_size=200), st.text(",;\t\n\r\"'|ab 1.", max_size=200).map(str.encode)),
    st.sampled_from(["csv", "tsv", "jsonl", "json", "txt", "parquet", "arrow", "npz", "xlsx"]),
)
def test_any_bytes_are_rows_or_one_clear_error(content, kind):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/a.{kind}"
        with open(file, "wb") as stream:
            stream.write(content)
        message = file
        try:
            for row in open_source(file).rows:
                " ".join(map(str, row.cells.values())).encode()
        except UserError as error:
            message = str(error)
        assert file in message


@pytest.mark.parametrize(
    ("name", "values", "counts"),
    [
        ("Unnamed: 0", [0, 1, 2], True),
        ("index", [7, 9, 30], True),  # of rows that were filtered
        ("ID", [1001, 1002, 1003], True),
        ("id", [3, 3, 5], False),
        ("index", [1.5, 2.5, 3.5], False),
        ("index", [1, float("nan"), 3], False),
        ("load", [1001, 1002, 1003], False),
    ],
)
def test_columns_that_number_rows_are_known_by_name_and_values(name, values, counts):
    assert is_row_number(name, np.array(values, float)) is counts


@pytest.mark.parametrize("packing", [".gz", ".xz", ".bz2"])
@pytest.mark.parametrize("kind", ["parquet", "arrow", "npz", "xlsx"])
def test_tables_of_every_format_may_be_compressed(kind, packing, tmp_path):
    frame, plain = pd.DataFrame({"text": ["a b", "c"], "label": [1, 2]}), tmp_path / f"a.{kind}"
    if kind == "npz":
        np.savez(plain, text=frame["text"].to_numpy(str), label=frame["label"].to_numpy())
    else:
        getattr(frame, {"parquet": "to_parquet", "arrow": "to_feather", "xlsx": "to_excel"}[kind])(
            plain, **({"index": False} if kind == "xlsx" else {})
        )
    packed = tmp_path / f"a.{kind}{packing}"
    packed.write_bytes({".gz": gzip, ".xz": lzma, ".bz2": bz2}[packing].compress(plain.read_bytes()))
    assert read_table(packed).cells == read_table(plain).cells

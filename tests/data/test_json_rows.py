"""JSON of all shapes, and columns of one name in any format."""

import json

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from mla_train.config import TableOptions
from mla_train.data.tables.table import read_table
from mla_train.errors import UserError


def from_bytes(folder, content, name="a.csv", **options):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(file, TableOptions(**options))


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


FRAME = pd.DataFrame({"text": ["x", "y", "z"], "label": ["bad", "good", "bad"]})


@pytest.mark.parametrize("orient", ["records", "columns", "index", "split", "table"])
def test_what_pandas_writes_is_read(orient, tmp_path):
    FRAME.to_json(tmp_path / "a.json", orient=orient)
    table = read_table(tmp_path / "a.json")
    assert {name: table.cells[name] for name in FRAME} == FRAME.to_dict("list")


def test_keys_of_rows_join_columns_and_are_kept(tmp_path):
    content = '{"text": {"0": "x", "1": "y"}, "label": {"1": "good", "0": "bad"}}'
    assert from_bytes(tmp_path, content, "a.json").cells == {"text": ["x", "y"], "label": ["bad", "good"]}
    FRAME.set_index(pd.Index(["2024-01-01", "2024-01-02", "2024-01-03"])).to_json(tmp_path / "b.json")
    assert read_table(tmp_path / "b.json").cells["index"][0] == "2024-01-01"


@pytest.mark.parametrize(
    "content",
    [
        '{"version": 1, "data": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}',
        '{"a": 1, "b": "x"},\n{"a": 2, "b": "y"},\n',
        '[["a", "b"], [1, "x"], [2, "y"]]'.replace("a", "id").replace('"b"', '"text"'),
        '["id", "text"]\n[1, "x"]\n[2, "y"]\n',
    ],
)
def test_json_as_other_programs_write_it(content, tmp_path):
    table = from_bytes(tmp_path, content, "a.json")
    assert list(table.cells.values()) == [[1, 2], ["x", "y"]]


def test_lists_without_names_get_numbers(tmp_path):
    table = from_bytes(tmp_path, '[[1, "x"], [2, "y"]]', "a.json")
    assert table.columns == ["column_1", "column_2"]
    assert "no names of columns" in table.notes[0]


def test_what_is_no_table_of_json_is_named_with_the_way_out(tmp_path):
    for content in ('{"a": [1, 2], "b": [1]}', '{"a": 1,\n}'):
        with pytest.raises(UserError, match=r"a\.json.*write an object with the names of the columns"):
            from_bytes(tmp_path, content, "a.json")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet", "arrow"])
def test_columns_of_one_name_are_refused_in_every_format(kind, tmp_path):
    file = tmp_path / f"a.{kind}"
    table = pyarrow.table([["x", "y"], ["v", "w"]], names=["text", "text"])
    if kind == "parquet":
        pyarrow.parquet.write_table(table, file)
    elif kind == "arrow":
        with pyarrow.ipc.new_file(str(file), table.schema) as writer:
            writer.write_table(table)
    else:
        line = '{"text": "x", "text": "v"}'
        file.write_text({"csv": "text,text\nx,v\n", "jsonl": line, "json": f"[{line}]"}[kind])
    with pytest.raises(UserError, match="several columns text"):
        read_table(file).column("text")
    assert read_table(file).cells["text (2)"][0] == "v"


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary", "list"])
def test_texts_that_are_not_utf_8_come_as_bytes(kind, tmp_path):
    raw = pyarrow.array([b"gr\xfcn", b"rot"], pyarrow.binary())
    column = raw.view(pyarrow.string())
    if kind == "large_string":
        column = raw.cast(pyarrow.large_binary()).view(pyarrow.large_string())
    elif kind == "dictionary":
        column = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0, 1], pyarrow.int32()), column)
    elif kind == "list":
        column = pyarrow.ListArray.from_arrays(pyarrow.array([0, 1, 2], pyarrow.int32()), column)
    file = tmp_path / "a.arrow"
    table = pyarrow.table({"text": column})
    with pyarrow.ipc.new_file(str(file), table.schema) as writer:
        writer.write_table(table)
    cells = read_table(file).cells["text"]
    assert (cells[0] if kind != "list" else cells[0][0]) == b"gr\xfcn"


def test_json_is_read_in_any_width_of_characters(tmp_path):
    content = json.dumps([{"a": 1}]).encode("utf-16-le")
    assert from_bytes(tmp_path, content, "a.json").cells == {"a": [1]}

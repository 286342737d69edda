"""Small files that unpack to much, files that are no regular files, and links out of a data set."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import zipfile
from uuid import UUID

import numpy as np
import openpyxl
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
from PIL import Image

from mla_train.config import CorpusOptions
from mla_train.data import packed
from mla_train.data.corpus import read_corpus
from mla_train.data.image_files import FORMATS, note_links
from mla_train.data.packed import check_regular, limit_unpacking
from mla_train.data.series_archives import read_archive_file
from mla_train.data.tables import open_source
from mla_train.data.tables.source import read_lines
from mla_train.data.tables.table import read_table
from mla_train.errors import UserError
from mla_train.modalities.image import decode
from mla_train.modalities.sources import stamps_of
from tasks.image_classification.config import MedmnistConfig
from tasks.image_classification.medmnist import read_medmnist
from tests.helpers import load, write_pictures

MOST = 1_000_000


@pytest.fixture(autouse=True)
def limit():
    limit_unpacking(MOST)
    yield
    limit_unpacking(packed.MAX_BYTES)


def text(count=3 * MOST):
    return b"text,label\n" + b"a,b\n" * (count // 4)


def write_parquet(file, **how):
    table = pyarrow.table({"text": ["x" * 3000] * 1000, "label": ["a"] * 1000})
    pyarrow.parquet.write_table(table, file, compression="zstd", **how)


def write_nested(file):
    table = pyarrow.table({"image": [{"bytes": b"x" * 3000, "path": "a"}] * 1000})
    pyarrow.parquet.write_table(table, file, compression="zstd")


def write_rows(file):
    pyarrow.parquet.write_table(pyarrow.table({"label": pyarrow.array([1] * 500_000)}), file, compression="zstd")


def write_arrow(file, new=pyarrow.ipc.new_file, compression="zstd", as_dictionary=False):
    texts = pyarrow.array(["x" * 2900 + f"{number:0100}" for number in range(1000)])
    table = pyarrow.table({"text": texts.dictionary_encode() if as_dictionary else texts})
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    with new(str(file), table.schema, options=options) as writer:
        writer.write_table(table)


def write_sheet(file):
    plain = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["text", "label"])
    book.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b" " * 3 * MOST if "sheet1" in name else b""))


def write_list(file):
    words = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(10_000, np.int32)), pyarrow.array(["x" * 3000]))
    table = pyarrow.table({"words": pyarrow.ListArray.from_arrays(pyarrow.array([0, 10_000], pyarrow.int32()), words)})
    pyarrow.parquet.write_table(table, file, compression="zstd", store_schema=False)


def write_wide_bytes(file):
    table = pyarrow.table({"image": pyarrow.array([b"x" * 3000] * 1000, pyarrow.binary(3000))})
    pyarrow.parquet.write_table(table, file, compression="zstd")


def write_prefixes(file):
    table = pyarrow.table({"text": [f"{'x' * 3000}{i}" for i in range(1000)]})
    how = {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}
    pyarrow.parquet.write_table(table, file, compression="zstd", **how)


def write_no_bytes(file):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<U0", "fortran_order": False, "shape": (3_000_000,)})
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("text.npy", header.getvalue())


def with_part(file, part, before, content):
    """A spreadsheet with more in one of its parts."""
    plain = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["text", "label"])
    book.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(before, content + before) if part in name else old.read(name))


BOMBS = {
    "a.csv.gz": lambda file: file.write_bytes(gzip.compress(text())),
    "a.csv.xz": lambda file: file.write_bytes(lzma.compress(text())),
    "a.csv.bz2": lambda file: file.write_bytes(bz2.compress(text())),
    "a.tsv.gz": lambda file: file.write_bytes(b"".join(gzip.compress(b"%d\tb\n" % i * 10_000) for i in range(50))),
    "a.jsonl.gz": lambda file: file.write_bytes(gzip.compress(b'{"text": "a"}\n' * 200_000)),
    "a.txt.gz": lambda file: file.write_bytes(gzip.compress(b"a" * 3 * MOST)),
    "plain.parquet": lambda file: write_parquet(file, use_dictionary=False),
    "dictionary.parquet": write_parquet,
    "rows.parquet": write_rows,
    "nested.parquet": write_nested,
    "list.parquet": write_list,
    "wide.parquet": write_wide_bytes,
    "prefixes.parquet": write_prefixes,
    "a.arrow": write_arrow,
    "lz4.arrow": lambda file: write_arrow(file, compression="lz4"),
    "stream.arrow": lambda file: write_arrow(file, pyarrow.ipc.new_stream),
    "dictionary.arrow": lambda file: write_arrow(file, as_dictionary=True),
    "a.xlsx": write_sheet,
    "styles.xlsx": lambda file: with_part(file, "styles", b"</styleSheet>", b"<a/>" * (MOST // 20)),
    "types.xlsx": lambda file: with_part(file, "Content_Types", b"</Types>", b"<a/>" * (MOST // 20)),
    "row.xlsx": lambda file: with_part(file, "sheet1", b"</row>", b"<c/>" * (MOST // 20)),
    "cell.xlsx": lambda file: with_part(file, "sheet1", b"</c>", b"<a/>" * (MOST // 20)),
    "attributes.xlsx": lambda file: with_part(file, "sheet1", b"</row>", b"<c %s/>" % (b'a="" ' * (MOST // 40))),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_unpacks_to_much_is_refused(name, tmp_path, monkeypatch):
    BOMBS[name](tmp_path / name)
    assert (tmp_path / name).stat().st_size < MOST / packed.TIMES
    with monkeypatch.context() as patch:
        patch.delattr(pyarrow.ipc, "open_stream")  # of Arrow no batch is unpacked
        with pytest.raises(UserError, match=r"unpacks to more than .*data\.max_bytes="):
            read_table(tmp_path / name)
    limit_unpacking(1000 * MOST)
    if not name.endswith(".xlsx"):
        assert next(open_source(tmp_path / name).rows).cells


CELLS = {
    "a.csv.gz": b"text,label\n%s\n" % (b"a," * (MOST // 3)),
    "a.tsv.gz": b"text\tlabel\n%s\n" % (b"a\t" * (MOST // 3)),
    "lines.csv.gz": b"text,label\n" + (b"a," * 1000 + b"\n") * (MOST // 3000),
    "a.json.gz": b'[{"text": [%s[]]}]' % (b"[]," * (MOST // 10)),
    "a.jsonl.gz": b'{"text": [%s{}]}\n' % (b"{}," * (MOST // 10)),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_small_file_of_many_cells_or_lists_is_refused(name, tmp_path):
    assert len(CELLS[name]) < MOST
    (tmp_path / name).write_bytes(gzip.compress(CELLS[name]))
    with pytest.raises(UserError, match=r"unpacks to more than .* cells or lists.*data\.max_bytes="):
        read_table(tmp_path / name)


@pytest.mark.parametrize(("name", "line"), [("a.ts", "{long}:{short}:a\n"), ("a.arff", "'{long}\\n{arff}',a\n")])
def test_a_long_channel_beside_many_short_ones_is_refused(name, line, tmp_path):
    count = 1 + int((MOST / packed.CELL) ** 0.5)
    many = ["1"] * count
    (tmp_path / name).write_text(
        "@data\n" + line.format(long=",".join(many), short=":".join(many), arff="\\n".join(many))
    )
    with pytest.raises(UserError, match=r"unpacks to more than .*data\.max_bytes="):
        read_archive_file(tmp_path / name)


@pytest.mark.parametrize("ending", sorted(packed.OPENERS))
def test_a_small_file_of_many_short_lines_is_refused(ending, tmp_path):
    file = tmp_path / f"a.txt{ending}"
    for line in (b"\n", b"a\n", b"ab\r"):
        file.write_bytes({".gz": gzip, ".xz": lzma, ".bz2": bz2}[ending].compress(line * (MOST // 3)))
        with pytest.raises(UserError, match=r"unpacks to more than .* lines.*data\.max_bytes="):
            load("task=masked_lm", "data=text_lines", f"data.train={file}", f"data.max_bytes={MOST}")
    plain = tmp_path / "a.txt"  # as long as it says
    plain.write_bytes(b"a\n" * (MOST // 3))
    assert len(list(read_lines(str(plain), "a.txt"))) == MOST // 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.txt", ["task=masked_lm", "data=text_lines"]),
        ("a.csv", ["task=masked_lm", "data=text_lines", "data.text_column=text"]),
        ("a.csv", ["task=text_classification", "data=text_files"]),
        ("a.csv", ["task=translation", "data=pair_files", "data.source_column=text", "data.target_column=label"]),
    ],
)
def test_links_out_of_a_folder_of_a_split_are_noted(name, words, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / name).write_text("text,label\n" + "".join(f"a cat sat {i},{'xy'[i % 2]}\n" for i in range(40)))
    (tmp_path / "there" / name).symlink_to(tmp_path / name)
    notes = load(*words, f"data.train={tmp_path / 'there'}", "data.max_bytes=1000000").notes
    assert sum(f"{name} is {tmp_path / name}" in note for note in notes) == 1


def test_links_out_of_a_folder_of_series_are_noted(tmp_path):
    (tmp_path / "there").mkdir()
    hours = [f"2024-01-{1 + i // 24:02} {i % 24:02}:00,{i % 24}" for i in range(600)]
    (tmp_path / "a.csv").write_text("\n".join(["time,load", *hours]) + "\n")
    (tmp_path / "there" / "a.csv").symlink_to(tmp_path / "a.csv")
    words = ["data.look_back=24", "data.horizon=6", "data.period=24"]
    notes = load("task=forecasting", "data=series_csv", f"data.path={tmp_path / 'there'}", *words).notes
    assert sum(f"a.csv is {tmp_path / 'a.csv'}" in note for note in notes) == 1


def same_views(text, count=2000):
    """A column whose cells are views of one text."""
    _, view, content = pyarrow.array([text], pyarrow.string_view()).buffers()
    views = pyarrow.py_buffer(view.to_pybytes()[:16] * count)
    return pyarrow.Array.from_buffers(pyarrow.string_view(), count, [None, views, content])


LONG = "x" * 1000
REPEATED = {
    "list_view": pyarrow.ListViewArray.from_arrays([0] * 2000, [100] * 2000, [1] * 100),
    "string_view": same_views(LONG),
    "run_end_encoded": pyarrow.RunEndEncodedArray.from_arrays([2000], [LONG]),
    "dictionary of lists": pyarrow.DictionaryArray.from_arrays([0] * 2000, pyarrow.array([[1] * 1000])),
    "dictionary of bytes": pyarrow.DictionaryArray.from_arrays(
        [0] * 2000, pyarrow.array([b"x" * 1000], pyarrow.binary(1000))
    ),
    "negative": pyarrow.StringArray.from_buffers(
        2, pyarrow.py_buffer(np.array([0, 9, 0], np.int32)), pyarrow.py_buffer(b"x" * 9)
    ),
}


@pytest.mark.parametrize("kind", REPEATED)
def test_cells_of_an_arrow_file_that_repeat_their_bytes_are_counted_or_refused(kind, tmp_path):
    table = pyarrow.table({"text": REPEATED[kind]})
    with pyarrow.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(UserError, match=r"data\.max_bytes=|is not read: write|ends before it begins"):
        read_table(tmp_path / "a.arrow")


def test_views_of_an_honest_file_are_read(tmp_path):
    table = pyarrow.table({"text": pyarrow.array(["a", None, LONG], pyarrow.string_view()), "none": pyarrow.nulls(3)})
    table = table.append_column("id", pyarrow.array([UUID(int=1).bytes] * 3, pyarrow.uuid()))
    with pyarrow.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table.slice(1))
    assert read_table(tmp_path / "a.arrow").cells == {"text": [None, LONG], "none": [None] * 2, "id": [UUID(int=1)] * 2}


@pytest.mark.parametrize("new", [pyarrow.ipc.new_file, pyarrow.ipc.new_stream])
@pytest.mark.parametrize("compression", ["zstd", "lz4", None])
def test_an_arrow_file_is_read_whole_or_refused(new, compression, tmp_path):
    limit_unpacking(packed.MAX_BYTES)
    file = tmp_path / "a.arrow"
    write_arrow(file, new, compression)
    assert len(read_table(file)) == 1000
    content = file.read_bytes()
    for end in (4, 20, len(content) // 2, len(content) - 4):
        file.write_bytes(content[:end])
        if new is pyarrow.ipc.new_stream and end == len(content) - 4:
            continue  # a stream may end where its file ends
        with pytest.raises(UserError, match="cannot be read"):
            read_table(file)


def test_cells_that_their_dictionary_lacks_are_said(tmp_path, monkeypatch):
    file = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"] * 50}), file)
    broken = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0, 5], pyarrow.int32()), ["a", "b"], safe=False)
    batch = pyarrow.RecordBatch.from_arrays([broken], ["text"])
    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", lambda *_, **how: iter([batch]))
    with pytest.raises(UserError, match="cannot be read: a cell is none of its dictionary"):
        read_table(file)


@pytest.mark.parametrize("how", [{}, {"row_group_size": 100}, {"dictionary_pagesize_limit": 20, "data_page_size": 50}])
def test_lists_and_structures_of_an_honest_file_are_read(how, tmp_path):
    kind = pyarrow.map_(pyarrow.string(), pyarrow.int64())
    table = pyarrow.table(
        {
            "map": pyarrow.array([[("a", 1), ("b", 2)]] * 500, kind),
            "list": [[str(i % 50), None] if i % 3 else None for i in range(500)],
            "struct": [{"x": [{"y": str(i)}], "bytes": b"1"} for i in range(500)],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", **how)
    cells = read_table(tmp_path / "a.parquet").cells
    assert {name: column[1] for name, column in cells.items()} == {
        "map": [("a", 1), ("b", 2)],
        "list": ["1", None],
        "struct": {"x": [{"y": "1"}], "bytes": b"1"},
    }


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_rows_of_different_keys_make_no_table_of_gaps(name, tmp_path):
    lines = [f'{{"k{i}": 1}}' for i in range(1000)]
    whole = ", ".join(f'"k{i}": {{"{i}": 1}}' for i in range(1000))
    (tmp_path / name).write_text("\n".join(lines) if name == "a.jsonl" else f"{{{whole}}}")
    with pytest.raises(UserError, match=r"its rows have different keys.*data\.max_bytes="):
        read_table(tmp_path / name)


def write_cells(file, rows):
    """A sheet whose XML says to be as large as a sheet can be."""
    write_sheet(file)
    with zipfile.ZipFile(file) as old:
        members = {name: old.read(name) for name in old.namelist()}
    for name in members:
        if "sheet1" in name:
            members[name] = (
                b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
                b'<dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1" t="str"><v>text</v></c>'
                b'<c r="B1" t="str"><v>label</v></c></row>' + rows.encode() + b"</sheetData></worksheet>"
            )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in members.items():
            new.writestr(name, content)


def test_the_size_that_a_sheet_says_it_has_is_not_believed(tmp_path):
    file = tmp_path / "a.xlsx"
    write_cells(file, '<row r="9000"><c r="A9000"><v>1</v></c></row>')
    assert read_table(file).cells == {"text": [1], "label": [None]}
    write_cells(file, "".join(f'<row r="{i}"><c r="XFD{i}"><v>1</v></c></row>' for i in range(2, 50)))
    with pytest.raises(UserError, match=r"too many to be held in memory.*data\.max_bytes="):
        read_table(file)
    write_cells(file, '<row r="99999999999"><c r="A99999999999"><v>1</v></c></row>')
    with pytest.raises(UserError, match="below row 1,048,576"):
        read_table(file)


def test_empty_rows_are_counted_over_all_sheets(tmp_path, monkeypatch):
    monkeypatch.setattr("mla_train.data.tables.formats.MOST_ROWS", 100)
    book, file = openpyxl.Workbook(), tmp_path / "a.xlsx"
    for sheet in (book.active, book.create_sheet(), book.create_sheet()):
        sheet["A60"].font = openpyxl.styles.Font(bold=True)
    book.save(file)
    with pytest.raises(UserError, match="save it as csv"):
        read_table(file)


def test_an_honest_file_may_unpack_to_a_multiple_of_its_size(tmp_path):
    limit_unpacking(1000)
    lines = "".join(f"{i},{i * 7 % 13}\n" for i in range(2000))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(("text,label\n" + lines).encode()))
    assert len(read_table(tmp_path / "a.csv.gz")) == 2000


def test_a_larger_file_is_stopped_while_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "is_small", lambda size: False)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text()))
    with pytest.raises(UserError, match="unpacks to more than"):
        read_table(tmp_path / "a.csv.gz")


def test_the_option_sets_the_limit(tmp_path):
    rows = b"text,label\n" + b"".join(b"a%d,%d\n" % (i, i % 2) for i in range(40))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(rows + b"b,1\n" * 100_000))
    words = ["task=text_classification", "data=text_files", f"data.train={tmp_path / 'a.csv.gz'}"]
    with pytest.raises(UserError, match=r"data\.max_bytes="):
        load(*words, "data.max_bytes=1000")


def png(width, height, mode="1"):
    stream = io.BytesIO()
    Image.new(mode, (width, height)).save(stream, "PNG")
    return stream.getvalue()


def test_a_small_picture_of_many_pixels_is_refused(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(png(2000, 2000))
    for source in (file, file.read_bytes()):
        assert decode.read_header(source) is None
        _, missing, broken = decode.decode_images([source], (1, 8, 8))
        assert missing.all()
        assert "data.max_bytes=" in broken[0]
        assert "2,000 x 2,000" in broken[0]
    stamps = stamps_of([file])
    limit_unpacking(20 * MOST)
    assert decode.read_header(file).size == (2000, 2000)
    assert stamps_of([file]) != stamps  # what is cached is another answer


def test_no_program_is_started_to_read_a_picture(tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n%%EOF\n")

    def fail(*_, **__):
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", fail)
    assert decode.decode_images([file, file.read_bytes()], (1, 8, 8))[1].all()
    assert not {"EPS", "WMF", "EMF", "PDF", "PS"} & FORMATS


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.npz", "a.xlsx", "a.png"])
def test_a_named_pipe_is_no_file(name, tmp_path):
    os.mkfifo(tmp_path / name)
    if name == "a.png":
        assert decode.decode_images([tmp_path / name], (1, 8, 8))[1].all()
        return
    with pytest.raises(UserError, match="named pipe"):
        read_table(tmp_path / name)
    with pytest.raises(UserError, match="named pipe"):
        read_medmnist(MedmnistConfig(path=str(tmp_path / name)))


def test_other_files_that_are_none():
    with pytest.raises(UserError, match="a device"):
        check_regular("/dev/null")
    with pytest.raises(UserError, match="a folder"):
        check_regular("/")
    with pytest.raises(UserError, match="there is no such file"):
        check_regular("/nowhere\0")


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\x93NUMPY\x01\x00v\x00{'descr': '|u1'}", "npy", "cut", "objects", "long"]
)
def test_arrays_that_cannot_be_read_are_said(content, tmp_path):
    file = tmp_path / "a.npz"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content == "objects":
        np.savez(file, a=np.array([{}], dtype=object), allow_pickle=True)
    elif content == "long":  # says to have more than it has
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.npy", header.getvalue())
    else:
        np.savez(file, a=np.arange(5))
        if content == "npy":
            np.save(file.open("wb"), np.arange(5))
        else:
            file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(UserError, match="cannot be read"):
        read_table(file)


def test_links_out_of_the_folder_are_said(tmp_path):
    write_pictures(tmp_path / "own")
    write_pictures(tmp_path / "other", ("bird",))
    (tmp_path / "own" / "bird").symlink_to(tmp_path / "other" / "bird")
    (tmp_path / "own" / "cat" / "x.png").symlink_to(tmp_path / "other" / "bird" / "0.png")
    (tmp_path / "own" / "cat" / "y.png").symlink_to(tmp_path / "own" / "dog" / "0.png")
    data = load("data=image_folder", f"data.root={tmp_path / 'own'}")
    (note,) = [note for note in data.notes if "links to files outside" in note]
    assert note.startswith("13 files of")
    notes = []
    note_links([tmp_path / "own" / "cat" / "0.png"], tmp_path / "own", notes)
    assert not notes


@pytest.mark.parametrize("ending", sorted(packed.OPENERS))
def test_bytes_behind_the_end_are_refused(tmp_path, ending):
    """Several streams, and zeros that fill up a file, are one text; other bytes are an error in all formats."""
    compress = {".gz": gzip, ".xz": lzma, ".bz2": bz2}[ending].compress
    file = tmp_path / f"a.txt{ending}"
    file.write_bytes(compress(b"one" * 10_000 + b"\n") + compress(b"two\n") + bytes(8) * (ending != ".bz2"))
    assert list(read_lines(str(file), "a")) == ["one" * 10_000 + "\n", "two\n"]
    for rest in (b"garbage", b"B"):
        file.write_bytes(compress(b"one\n") + rest)
        with pytest.raises(UserError, match="a cannot be read"):
            list(read_lines(str(file), "a"))
    file.write_bytes(compress(b"one\n" * 1000)[:-4])
    with pytest.raises(UserError, match="a cannot be read"):
        list(read_lines(str(file), "a"))


def test_a_packed_corpus_is_named(tmp_path):
    (tmp_path / "a.txt.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(range(200)))
    with pytest.raises(UserError, match=r"a.txt.zst is compressed by zstd and no text: unpack it"):
        read_corpus(CorpusOptions(train=str(tmp_path / "a.txt.zst")))

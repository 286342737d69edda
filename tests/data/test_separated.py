"""Tables of separated values: quotes, separators, headers, and lines that are no rows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.config import TableOptions
from mla_train.data.tables import open_source
from mla_train.data.tables.table import read_table
from mla_train.errors import UserError


def from_bytes(folder, content, name="a.csv", **options):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(file, TableOptions(**options))


def test_quotes_inside_tab_separated_texts_are_text(tmp_path):
    file = tmp_path / "a.tsv"
    file.write_text('text\tlabel\n"Hi" he said\tx\n"never closed\ty\nplain\tz\n"and open again\tx\n')
    table = read_table(file)
    assert table.broken == []
    assert table.cells["text"] == ['"Hi" he said', '"never closed', "plain", '"and open again']


LINES = "".join(f"{'good' if i % 2 else 'bad'},film {i}\n" for i in range(30))


@pytest.mark.parametrize(
    ("content", "columns", "count", "note"),
    [
        ('label,text\ngood,"nice film\n' + LINES + 'bad,sad film"\n', ["label", "text"], 32, "do not close"),
        ('label,text\ngood,"never closed\n' + LINES, ["label", "text"], 31, "the first in line 2"),
        (",text,label\n" + "".join(f"{i},a b {i},good\n" for i in range(9)), ["text", "label"], 9, ""),
        ("text,label,\n" + "a b,good,\n" * 9, ["text", "label"], 9, ""),
        ("text,label\n" + "".join(f"{i},a b,good\n" for i in range(18)), ["text", "label"], 18, "number of their own"),
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


@settings(deadline=None)
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


FILMS = [
    f"a {kind} film, no {i}" if i % 7 == 0 else f"a {kind} film {i}" for i in range(60) for kind in ("bad", "good")
]


def films(*odd, separator=",", label_first=False, at=10):
    """A table of films, with lines of other kinds in their midst."""
    rows = [
        separator.join(cells[::-1] if label_first else cells)
        for film in FILMS
        for cells in [[f'"{film}"' if separator in film else film, film.split()[1]]]
    ]
    header = separator.join(["label", "text"] if label_first else ["text", "label"])
    return "\n".join([header, *rows[:at], *odd, *rows[at:]]) + "\n"


@pytest.mark.parametrize(
    ("odd", "options"),
    [
        (('"great film,good', "ok,bad", 'so-so film",bad'), {}),
        (('"great film,good', 'fine",bad'), {}),
        (('"great film,good', "", "plain,bad", 'fine",bad'), {}),
        (('"great film,good', "one,bad,", *[f"film {i},good" for i in range(9)], 'fine",bad'), {}),
        (('good,"great film', 'bad,so-so film"'), {"label_first": True}),
        (('good\t"great film', "bad\tplain", 'bad\tso-so film"'), {"label_first": True, "separator": "\t"}),
    ],
)
def test_no_row_is_swallowed_by_a_stray_quote(odd, options, tmp_path):
    table = from_bytes(tmp_path, films(*odd, **options), "a.tsv" if "separator" in options else "a.csv")
    assert len(table) == len(FILMS) + len([line for line in odd if line])
    assert table.broken == []
    assert set(table.cells["label"]) == {"bad", "good"}
    assert any("line 12" in note and "do not close" in note for note in table.notes)


def test_a_row_that_fits_nowhere_between_stray_quotes_is_named_and_not_lost(tmp_path):
    odd = ('good;"great film', *[f"bad;film {i}" for i in range(9)], "bad;one; two", 'bad;so-so film"')
    table = from_bytes(tmp_path, films(*odd, separator=";", label_first=True))
    assert len(table) == len(FILMS) + len(odd) - 1
    assert [fault.rpartition("a.csv ")[2] for fault in table.broken] == ["line 22 has 3 cells, the header has 2"]


def test_texts_of_several_lines_stay_whole_and_quiet(tmp_path):
    odd = ('"roses are red, violets', 'are blue, they say",good', '"one\ntwo, three\nfour, five\nsix, seven",bad')
    table = from_bytes(tmp_path, films(*odd))
    assert (len(table), table.broken, table.notes) == (len(FILMS) + 2, [], [])


def test_few_lines_in_quotes_that_may_be_rows_are_said(tmp_path):
    rows = "".join(f"name {i},word {i}\n" for i in range(20))
    table = from_bytes(tmp_path, f'a,b\n{rows}"x,y\nz",v\n')
    assert len(table) == 21
    assert any("line 22" in note and "look like rows" in note for note in table.notes)


@pytest.mark.parametrize(
    ("content", "cells"),
    [
        ('text, label\n"a film", "bad"\n"b, c", "good"\n', ["a film", "b, c"]),
        ('text,label\n"he said \\"a, b\\" now",bad\n"c",good\n', ['he said "a, b" now', "c"]),
        ("text,label\n'a, film',bad\n'b',good\n'c, d',good\n", ["a, film", "b", "c, d"]),
        ("text,label\n'tis fine,bad\nwell 'said',good\n", ["'tis fine", "well 'said'"]),
    ],
)
def test_quotes_of_all_kinds(content, cells, tmp_path):
    table = from_bytes(tmp_path, content)
    assert table.cells["text"] == cells
    assert set(table.cells["label"]) == {"bad", "good"}


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("id,text,label", "{i},a film, and it is number {i},bad"),
        ("text,label", "a film {i}, really,bad"),
        ("text,label", '"a film {i}",really,bad'.replace('"a film {i}"', '"a film"')),
        ("no,text,label", "{i},well, {i},good"),
    ],
)
def test_columns_never_shift_for_a_separator_in_a_text(header, row, tmp_path):
    table = from_bytes(tmp_path, "\n".join([header, *(row.format(i=i) for i in range(30))]))
    assert (len(table), len(table.broken)) == (0, 30)
    assert "line 2 has" in table.broken[0]


@pytest.mark.parametrize(
    ("first", "is_said"), [("{i},", True), ('"row {i}",', True), ("", False)], ids=["number", "name", "none"]
)
def test_names_of_rows_are_said_and_cells_behind_the_last_are_none(first, is_said, tmp_path):
    rows = [first.format(i=i) + f"nice,good,{i}" + ("" if first else ",") for i in range(30)]
    table = from_bytes(tmp_path, "\n".join(["text,label,score", *rows]))
    assert (table.cells["text"][0], table.cells["label"][0], table.broken) == ("nice", "good", [])
    assert any("of their own" in note for note in table.notes) is is_said


@pytest.mark.parametrize(
    ("odd", "note"),
    [
        (("text,label",), "repeat the header of {}, the first in line 12"),
        ((" text , label",), "repeat the header of {}, the first in line 12"),
        (("\ufefftext,label",), "repeat the header of {}, the first in line 12"),
        (("----,-----",), "1 lines of {} that are drawn"),
        (("=====,====", "-----+-----"), "2 lines of {} that are drawn"),
        ((",", " , "), ""),
    ],
)
def test_lines_that_are_no_rows_are_left_out_and_counted(odd, note, tmp_path):
    table = from_bytes(tmp_path, films(*odd))
    assert (len(table), table.broken) == (len(FILMS), [])
    assert note.format(tmp_path / "a.csv") in " ".join(table.notes)
    assert bool(table.notes) is bool(note)


def test_units_below_the_header_and_sums_at_the_end_are_said(tmp_path):
    content = films("(string),(class)", at=0) + "Total,200\n"
    table = from_bytes(tmp_path, content)
    assert len(table) == len(FILMS) + 1
    assert "(class)" not in table.cells["label"]
    notes = " ".join(table.notes)
    assert "left out line 2" in notes
    assert f"line {len(FILMS) + 3}, may be a sum" in notes


def test_a_table_of_markdown_is_read(tmp_path):
    content = "| text | label |\n|---|---|\n| a film | bad |\n| b | good |\n"
    table = from_bytes(tmp_path, content)
    assert [cell.strip() for cell in table.cells["label"]] == ["bad", "good"]
    assert table.broken == []


@pytest.mark.parametrize("separator", ["^", "~", ":", "::", "§", "\x01", " ", "||", "\t"])
def test_rare_separators_are_found(separator, tmp_path):
    rows = [separator.join([f"word{i}", "bad" if i % 2 else "good"]) for i in range(30)]
    table = from_bytes(tmp_path, "\n".join([f"text{separator}label", *rows]))
    assert table.cells["label"][:2] == ["good", "bad"]
    assert len(table) == 30


@pytest.mark.parametrize(
    ("name", "sign"), [("tab", "\t"), ("\\t", "\t"), ("pipe", "|"), ("semicolon", ";"), ("||", "||"), ("::", "::")]
)
def test_separators_are_named_by_word_or_sign(name, sign, tmp_path):
    content = f"a, b{sign}label\nx, y{sign}bad\nz{sign}good\n"
    table = from_bytes(tmp_path, content, separator=name)
    assert table.cells == {"a, b": ["x, y", "z"], "label": ["bad", "good"]}


@pytest.mark.parametrize("separator", ["", '"', "\n"])
def test_what_cannot_part_cells_is_refused(separator, tmp_path):
    with pytest.raises(UserError, match=r"data\.separator=.*tab, .*comma"):
        from_bytes(tmp_path, "a,b\n1,2\n", separator=separator)


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ("My films 2024\n\n", 3),
        ("My films, 2024, all\nby hand\n", 3),
        ("SEP=,\n", None),
        ('"sep=,"\n', None),
        ("\ufeff\ufeff", None),
    ],
)
def test_lines_before_the_header(before, line, tmp_path):
    table = from_bytes(tmp_path, before + films())
    assert (table.columns, len(table)) == (["text", "label"], len(FILMS))
    assert [note for note in table.notes if "the header is" in note] == (
        [f"{tmp_path / 'a.csv'}: the header is line 3"] if line else []
    )


def test_points_beside_semicolons_are_said(tmp_path):
    table = from_bytes(tmp_path, "date;y\n" + "".join(f"2024-01-0{i};1.50{i}\n" for i in range(1, 9)))
    assert any("column y" in note and "data.thousands='.'" in note for note in table.notes)
    assert not any("data.thousands" in note for note in from_bytes(tmp_path, "date;y\n" + "2024-01-01;1.5\n" * 9).notes)

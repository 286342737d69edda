"""Pages and tables: what people write is shown as it is, nothing is fetched, rows are sorted by what they mean."""

import re
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.console import Console

from mla_train.inspect.page import bullets, code, heading, html_table, page, paragraph, picture
from mla_train.inspect.tables import Cell, Table, Tone, as_markdown, as_rich, print_fitting

TABLE = Table(
    ["name", "score|s", "note"],
    [
        [Cell("b & <c>"), Cell("0.5", 0.5, Tone.good), Cell("x" * 100)],
        [Cell("a"), Cell("1,200", 1200.0), Cell()],
        [Cell("[red]"), Cell(), Cell("|")],
    ],
)
VOID = {"meta", "img", "br"}


class Nesting(HTMLParser):
    """Notes texts, and that each tag is closed where it must be."""

    def __init__(self):
        super().__init__()
        self.open, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_a_page_is_whole_and_needs_nothing_else():
    parts = [heading("<h>"), paragraph("a & b", "lead"), bullets(["<li>"]), code("x < y"), picture(b"png", 'a "dot"')]
    text = page("<script>alert(1)</script>", *parts, "", html_table(TABLE))
    nesting = Nesting()
    nesting.feed(text)
    assert nesting.open == []
    for said in ("<h>", "a & b", "<li>", "x < y", "b & <c>", "<script>alert(1)</script>"):
        assert said in nesting.texts
    assert "data:image/png;base64,cG5n" in text
    assert 'alt="a &quot;dot&quot;"' in text
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|@import|url\(", text)
    assert bullets([]) == ""


def test_pictures_come_from_files_too(tmp_path):
    (tmp_path / "a.png").write_bytes(b"png")
    assert picture(tmp_path / "a.png", "a") == picture(b"png", "a")


def test_cells_carry_what_they_are_sorted_by():
    text = html_table(TABLE)
    assert '<td class="number good" data-value="0.5">0.5</td>' in text
    assert '<td class="number" data-value="1200.0">1,200</td>' in text
    assert '<td class="number"></td>' in text
    assert '<td class="long">' in text


@pytest.mark.parametrize(
    ("column", "order"), [("score|s", ["a", "b & <c>", "[red]"]), ("name", ["[red]", "a", "b & <c>"])]
)
def test_rows_are_sorted(column, order):
    assert [row[0].text for row in TABLE.sorted_by(column).rows] == order


def test_markdown_and_terminal_show_the_same_cells():
    lines = as_markdown(TABLE).splitlines()
    assert lines[0] == r"| name | score\|s | note |"
    assert lines[1] == "| --- | ---: | --- |"
    assert lines[3] == "| a | 1,200 |  |"
    shown = StringIO()
    Console(file=shown, width=200).print(as_rich(TABLE))
    assert "[red]" in shown.getvalue()
    assert "1,200" in shown.getvalue()


def test_columns_go_where_there_is_no_room():
    shown = StringIO()
    console = Console(file=shown, width=40)
    print_fitting(TABLE, ["note", "name"], console, "The page")
    assert "xxx" not in shown.getvalue()
    assert "b & <c>" in shown.getvalue()
    assert "No room for: note. The page shows all." in shown.getvalue()
    shown = StringIO()
    print_fitting(TABLE, ["note"], Console(file=shown, width=200), "The page")
    assert "xxx" in shown.getvalue()
    assert "No room" not in shown.getvalue()

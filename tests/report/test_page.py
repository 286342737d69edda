"""Pages and tables: text is escaped, nothing is fetched, rows are sorted by value."""

import re
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.console import Console

from mla_train.report.page import bullets, code, heading, html_table, image, page, paragraph
from mla_train.report.tables import Cell, Table, Tone, as_markdown, as_rich, print_fitting

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
    """Collects texts, and checks that each tag is closed where it must be."""

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


def test_a_page_is_complete_and_needs_nothing_else():
    parts = [heading("<h>"), paragraph("a & b", "lead"), bullets(["<li>"]), code("x < y"), image(b"png", 'a "dot"')]
    text = page("<script>alert(1)</script>", *parts, "", html_table(TABLE))
    nesting = Nesting()
    nesting.feed(text)
    assert nesting.open == []
    for expected in ("<h>", "a & b", "<li>", "x < y", "b & <c>", "<script>alert(1)</script>"):
        assert expected in nesting.texts
    assert "data:image/png;base64,cG5n" in text
    assert 'alt="a &quot;dot&quot;"' in text
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|@import|url\(", text)
    assert bullets([]) == ""


def test_images_come_from_files_too(tmp_path):
    (tmp_path / "a.png").write_bytes(b"png")
    assert image(tmp_path / "a.png", "a") == image(b"png", "a")


def test_cells_carry_their_sort_value():
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
    output = StringIO()
    Console(file=output, width=200).print(as_rich(TABLE))
    assert "[red]" in output.getvalue()
    assert "1,200" in output.getvalue()


def test_a_narrow_console_hides_columns():
    output = StringIO()
    console = Console(file=output, width=40)
    print_fitting(TABLE, ["note", "name"], console, "The page")
    assert "xxx" not in output.getvalue()
    assert "b & <c>" in output.getvalue()
    assert "Hidden columns: note." in output.getvalue()
    output = StringIO()
    print_fitting(TABLE, ["note"], Console(file=output, width=200), "The page")
    assert "xxx" in output.getvalue()
    assert "Hidden" not in output.getvalue()

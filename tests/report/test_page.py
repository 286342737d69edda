"""Pages and tables: text is escaped, nothing is fetched, rows are sorted by value."""

import re
from html.parser import HTMLParser
from io import StringIO

import pytest
from jinja2 import UndefinedError
from rich.console import Console

from mla_train.report.page import data_uri, environment, render
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
    figures = [("<h>", b"png", 'a "dot"')]
    values = dict(conclusion="a & b", failures=["<li>"], command="x < y", notes=["n"], changes=[], figures=figures)
    text = render("comparison", "<script>alert(1)</script>", summary=TABLE, runs=None, **values)
    nesting = Nesting()
    nesting.feed(text)
    assert nesting.open == []
    for expected in ("<h>", "a & b", "<li>", "x < y", "b & <c>", "<script>alert(1)</script>"):
        assert expected in [each.strip() for each in nesting.texts]
    assert "data:image/png;base64,cG5n" in text
    assert 'alt="a &#34;dot&#34;"' in text
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|@import|url\(", text)
    assert "Matched parameters" not in text


def test_a_value_that_a_template_lacks_is_an_error():
    with pytest.raises(UndefinedError, match="note"):
        render("runs", "runs", table=TABLE)


def test_images_come_from_files_too(tmp_path):
    png = b"\x89PNG\r\n\x1a\n..."
    (tmp_path / "a.png").write_bytes(png)
    assert data_uri(tmp_path / "a.png") == data_uri(png)


def html_table(table):
    return re.sub(r">\s+", ">", str(environment().get_template("parts.html").module.table(table)))


def test_cells_carry_their_sort_value_and_their_link():
    text = html_table(TABLE)
    assert '<td class="number good" data-value="0.5">0.5' in text
    assert '<td class="number " data-value="1200.0">1,200' in text
    assert '<td class="number "></td>' in text
    assert '<div class="long" tabindex="0">xxx' in text
    linked = html_table(Table(["run"], [[Cell("<a>", link='x"y', image="data:z")]]))
    assert '<a href="x&#34;y">&lt;a&gt;</a>' in linked
    assert 'src="data:z"' in linked


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

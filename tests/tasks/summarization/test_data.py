"""Docstrings of packages and tables of one's own as texts and summaries."""

import sys
from importlib.machinery import PathFinder
from random import Random

import pandas as pd
import pytest

from mla_train.errors import UserError
from mla_train.task import build_task
from tasks.summarization import docstrings
from tasks.summarization.config import DocstringsConfig, SummaryFilesConfig
from tasks.summarization.docstrings import find_pairs, read_docstrings, words_of
from tasks.summarization.files import read_summary_files
from tests.helpers import config

SOURCE = '''
def from_csv(path):
    """Read a table from a file.

    The file is a list of lines
    -------
    whose cells are parted by commas.

    Examples
    --------
    >>> from_csv("a.csv")
    """

class Odd:
    """lower case is no summary of a class.

    The body of this one has words enough for an example of its own.
    """

    async def short(self):
        """Read a short text.

        Too short.
        """

    def plain(self):
        """Has one line and no body."""
'''


def test_a_docstring_is_a_text_and_its_summary():
    (pair,) = find_pairs(SOURCE.encode(), min_words=10)
    text = "from csv. The file is a list of lines whose cells are parted by commas."
    assert pair == ("from_csv", text, "Read a table from a file.")
    assert list(find_pairs(b"def broken(:", 1)) == list(find_pairs(b"\0", 1)) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("from_csv", "from csv"), ("FromCSV", "from csv"), ("HTTPServer2", "http server 2"), ("__init__", "init"),
        ("LassoLarsIC", "lasso lars ic"),
    ],
)  # fmt: skip
def test_words_of_names(name, words):
    assert " ".join(words_of(name)) == words


NAMES = ["amber", "birch", "cedar"]


def function(name, summary, body):
    return f'def {name}():\n    """{summary}\n\n    {body}\n    """\n\n'


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two made packages; a third one is not installed."""
    chance = Random(0)
    monkeypatch.setattr(docstrings, "ENDS", {"train": 0.5, "val": 0.75, "test": 1.0})
    monkeypatch.setattr(docstrings, "version", lambda name: str(tmp_path))  # part of the key of the cache
    monkeypatch.setattr(docstrings, "find_spec", lambda name: PathFinder.find_spec(name, [str(tmp_path)]))
    for package in NAMES[:2]:
        for number in range(30):
            body = " ".join("".join(chance.choices("abcdefghij", k=6)) for _ in range(12))
            file = tmp_path / package / ("tests" if number == 29 else "") / f"m{number}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            text = function(f"weigh_{package}_{number}", f"Weigh the {package} number {number}.", body)
            file.write_text(
                text + function(f"say_{number}", f"Say {package} {number} aloud.", f"{body} and more of {number}")
            )
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError('nothing is imported')\n")
    return tmp_path


def test_files_of_packages_are_split_and_no_package_is_imported(packages):
    raw = read_docstrings(DocstringsConfig(packages=NAMES, min_words=5))
    files = {s: {name.rpartition(":")[0] for name in part.names} for s, part in raw.splits.items()}
    assert not files["train"] & files["test"]
    assert not files["train"] & files["val"]
    assert len(files["train"] | files["val"] | files["test"]) == 58
    assert not any("tests" in file for each in files.values() for file in each)
    assert "amber" not in sys.modules
    assert any("not installed, and left out: cedar" in note for note in raw.notes)
    again = read_docstrings(DocstringsConfig(packages=NAMES, min_words=5))
    assert again.splits["test"].targets == raw.splits["test"].targets


def test_what_nearly_repeats_training_is_left_out_of_val_and_test(packages):
    """In each file the second text repeats the first, and one more summary is the same in all files."""
    chance = Random(1)
    for file in sorted(packages.glob("*/m*.py")):
        body = " ".join("".join(chance.choices("klmnopqrst", k=6)) for _ in range(12))
        with file.open("a") as stream:
            stream.write(function("known", "Say what is known.", body))
    raw = read_docstrings(DocstringsConfig(packages=NAMES, min_words=5))
    for split in ("val", "test"):
        assert raw.splits[split].targets
        assert "Say what is known." not in raw.splits[split].targets
        assert len(raw.splits[split].names) == len({name.rpartition(":")[0] for name in raw.splits[split].names})
    assert "Say what is known." in raw.splits["train"].targets


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cedar"], r"none of cedar: pip install -e '\.\[demo\]', or name others with data\.packages="),
        (["dwarf"], "too few"),
    ],
)
def test_packages_without_docstrings_are_a_clear_error(names, message, packages):
    (packages / "dwarf").mkdir()
    (packages / "dwarf" / "__init__.py").write_text(function("a", "Say it once.", "word " * 20))
    with pytest.raises(UserError, match=message):
        read_docstrings(DocstringsConfig(packages=names))


ROWS = {"text": ["a long text about dogs", "another about cats", "  "], "summary": ["dogs", "cats", "nothing"]}


def read(file, frame, **options):
    frame.to_json(file, orient="records", lines=True)
    return read_summary_files(SummaryFilesConfig(train=str(file), **options))


def test_rows_without_a_text_or_a_summary_are_left_out_and_counted(tmp_path):
    raw = read(tmp_path / "a.jsonl", pd.DataFrame(ROWS))
    train = raw.splits["train"]
    assert (train.inputs["text"], list(train.targets)) == (ROWS["text"][:2], ["dogs", "cats"])
    assert train.names[1].row == "line 2"
    assert "left out 1 rows of train without a text or a summary" in raw.notes
    assert any("the texts are in the column text, their summaries in summary" in note for note in raw.notes)


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        (("article", "highlights"), {}),
        (("dialogue", "summary"), {}),
        (("long", "short"), {"text_column": "long", "target_column": "short"}),
    ],
)
def test_columns_by_their_usual_names_or_as_asked(columns, options, tmp_path):
    frame = pd.DataFrame(ROWS).set_axis(columns, axis=1)
    assert read(tmp_path / "a.jsonl", frame, **options).splits["train"].inputs["text"] == ROWS["text"][:2]


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (
            {"text": ["a"], "label": ["b"]},
            {},
            r"a\.jsonl has no column summary; there are text, label.*data\.target_column=",
        ),
        ({"body": ["a"], "summary": ["b"]}, {}, r"no column text; there are body, summary.*data\.text_column="),
        ({"text": [" "], "summary": ["b"]}, {}, r"no row has a text and a summary; each row needs both"),
        ({"text": ["a"], "summary": [["b", "c"]]}, {}, r"column summary: .*line 1"),
        (
            {"text": ["a"], "summary": ["b"]},
            {"text_column": "summary"},
            r"summary is both text and summary.*target_column=",
        ),
        ({"text": ["a"], "summary": ["b"]}, {"target_column": "sumary"}, r"no column sumary"),
    ],
)
def test_bad_tables_are_named(frame, options, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read(tmp_path / "a.jsonl", pd.DataFrame(frame), **options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.text_column=a", "data.target_column=a"], r"data\.text_column and data\.target_column are both a"),
        (["data.joint=false"], r"task\.copy=true .*data\.joint=true, or task\.copy=false"),
        (["encoder.latent=array"], r"encoder\.latent=array keeps none: use encoder\.latent=plain, or task\.copy=false"),
        (["task.min_tokens=9", "task.max_tokens=8"], r"task\.min_tokens=9 is more than task\.max_tokens=8"),
        (["task.max_tokens=2000000000"], r"task\.max_tokens=2000000000: must be 1 or more and below 10001"),
        (["task.min_tokens=2000000000"], r"task\.min_tokens=2000000000: must be 0 or more and below 10000"),
        (["task.beams=1000000"], r"task\.beams=1000000: must be 1 or more and below 1000"),
    ],
)
def test_options_that_exclude_each_other(words, message):
    with pytest.raises(UserError, match=message):
        build_task(config("task=summarization", "data=summary_files", *words))

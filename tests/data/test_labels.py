"""Labels, groups and identifiers of tables: one form, what is missing, what is asked."""

import unicodedata
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from mla_train.data.readers import read_table_examples
from mla_train.data.tables.cells import as_label, is_missing
from mla_train.errors import UserError
from tests.helpers import config, load, write_jsonl


def read(folder, content, *words):
    file = folder / "a.csv"
    file.write_text(content)
    return read_table_examples(
        config("task=text_classification", "data=text_files", f"data.train={file}", *words).data, ["text"]
    )


@pytest.mark.parametrize(
    ("labels", "form"),
    [
        ([1, 1.0, "1", " 1 ", "1.0", "1.00", np.int8(1), np.float32(1), Decimal("1.00")], "1"),
        (["-2.0", -2, "-2"], "-2"),
        ([1.5, "1.5", Decimal("1.50")], "1.5"),
        (["1.000000000000000000e+00", "1.0e+00", 1], "1"),
        (["-1.500000000000000000e+00", -1.5], "-1.5"),
        (["1e5"], "1e5"),
        (["01"], "01"),
        (["01.0"], "01.0"),
        (["1.10"], "1.10"),
        ([unicodedata.normalize(form, "café") for form in ("NFC", "NFD")], "café"),
        (["good", "go\u200bod", "\ufeffgood", "good\0", "good\u200d"], "good"),
        (["\N{MAN}\u200d\N{WOMAN}"], "\N{MAN}\u200d\N{WOMAN}"),
        ([True, "True"], "True"),
    ],
)
def test_a_label_has_one_form(labels, form):
    assert {as_label(label) for label in labels} == {form}


@pytest.mark.parametrize(
    "cell",
    [None, "", " \t", "\u200b", b"", "NaN", float("nan"), np.float16("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), Decimal("NaN")],
)  # fmt: skip
def test_what_is_missing_in_any_type(cell):
    assert is_missing(cell)


@pytest.mark.parametrize(
    ("mark", "cell", "is_marked"),
    [
        ("-1", -1, True), ("-1", -1.0, True), ("-1", "-1.0", True), ("-1.0", "-1", True), ("1e20", 1e20, True), ("unknown", " Unknown", True),
        ("-1", "-1,000", False), ("1", True, False), ("-1", "-1x", False), ("0", "0.5", False),
    ],
)  # fmt: skip
def test_marks_of_missing_values_are_words_and_numbers(mark, cell, is_marked):
    assert is_missing(cell, [mark]) is is_marked


def test_marks_hold_for_texts_and_labels_alike(tmp_path):
    raw = read(tmp_path, "text,label\n[deleted],a\nnull,b\n", "data.na_values=['[deleted]']")
    assert raw.splits["train"].inputs["text"] == [None, "null"]
    file = write_jsonl(tmp_path / "a.jsonl", [{"text": "x", "label": label} for label in (1, 2, -1)])
    options = config("task=text_classification", "data=text_files", f"data.train={file}", "data.na_values=[-1]").data
    with pytest.raises(UserError, match="1 rows without label, the first is line 3"):
        read_table_examples(options, ["text"])


@pytest.mark.parametrize("written", ["['a', 'bad']", '["a", "bad"]', "('a', 'bad')", "{'a', 'bad'}", "['a' 'bad']"])
def test_lists_that_are_written_as_text_are_asked(written, tmp_path):
    cell = written.replace('"', '""')
    content = f'text,label\nx,"{cell}"\ny,[OTHER]\n'
    with pytest.raises(UserError, match=r"a\.csv line 2: label is a list .*data\.label_separator=','"):
        read(tmp_path, content)
    rows = "".join(f'a film {i},"{cell}"\na bad one {i},bad\n' for i in range(40))
    (tmp_path / "b.csv").write_text("text,label\n" + rows)
    words = ("task=text_classification", "data=text_files", "encoder=tiny", f"data.train={tmp_path / 'b.csv'}")
    assert load(*words, "data.label_separator=','").spec.target.classes == ["a", "bad"]


def test_objects_that_are_written_as_text_are_no_labels(tmp_path):
    rows = [f'"t{i}","{{""choices"": [""{"ab"[i % 2]}""]}}"' for i in range(30)]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *rows]))
    with pytest.raises(UserError, match="label is an object that is written as text"):
        load("task=text_classification", "data=text_files", f"data.train={tmp_path / 'a.csv'}")


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["good", "good, short", "bad, short"], "data.label_separator=','"),
        (["0,5", "1,5", "2,5"], "task.head=regression"),
        (["a|b", "b|c", "c"], "data.label_separator='|'"),
        (["Paris, France", "Berlin, Germany", "Rome"], None),
        (["yes", "no, thanks"], None),
    ],
)
def test_several_labels_in_one_are_suspected(labels, says, tmp_path):
    rows = [{"text": f"text {i}", "label": labels[i % len(labels)]} for i in range(60)]
    file = write_jsonl(tmp_path / "a.jsonl", rows)
    notes = " ".join(load("task=text_classification", "data=text_files", f"data.train={file}").notes)
    assert (says in notes) if says else ("several labels in one" not in notes)


def test_bytes_of_another_encoding_are_decoded_or_asked(tmp_path):
    file = tmp_path / "a.parquet"
    pd.DataFrame({"text": ["grün".encode("cp1252")], "label": ["böse".encode("cp1252")]}).to_parquet(file)
    words = ("task=text_classification", "data=text_files", f"data.train={file}")
    with pytest.raises(UserError, match=r"row 1: label holds bytes that are not UTF-8.*data\.encoding=cp1252"):
        read_table_examples(config(*words).data, ["text"])
    train = read_table_examples(config(*words, "data.encoding=cp1252").data, ["text"]).splits["train"]
    assert (train.inputs["text"], train.targets) == (["grün"], ["böse"])


def test_identifiers_and_groups_have_the_form_of_labels(tmp_path):
    rows = [{"text": "x", "label": 1, "id": 3.0, "who": "nan"}, {"text": "y", "label": 2, "id": None, "who": "ann"}]
    file = write_jsonl(tmp_path / "a.jsonl", rows)
    words = ("data.id_column=id", "data.group_column=who", f"data.train={file}")
    train = read_table_examples(config("task=text_classification", "data=text_files", *words).data, ["text"]).splits[
        "train"
    ]
    assert [name.id for name in train.names] == ["3", ""]
    assert train.groups == [None, "ann"]


@pytest.mark.parametrize(
    ("labels", "numbers", "note"),
    [
        (["0,5", "1,25"], [0.5, 1.25], "decimal comma"),
        (["987", "1.001", "1.043"], [987, 1001, 1043], "thousands point"),
        (["5 kg", "7 kg"], [5, 7], "without its unit kg"),
    ],
)
def test_numbers_to_predict_are_read_as_people_write_them(labels, numbers, note, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("text;label\n" + "".join(f"film number {i};{labels[i % len(labels)]}\n" for i in range(60)))
    data = load(
        "task=text_classification", "data=text_files", "encoder=tiny", "task.head=regression", f"data.train={file}"
    )
    assert set(data.train.targets) == set(numbers)
    assert note in "\n".join(data.notes)


def test_notes_on_numbers_of_several_files_do_not_contradict_each_other(tmp_path):
    for name, cell in (("train", "1,5"), ("val", "2,5"), ("test", "1.500")):
        (tmp_path / f"{name}.csv").write_text("text;label\n" + "".join(f"{name} {i};{cell}\n" for i in range(30)))
    words = [f"data.{name}={tmp_path / name}.csv" for name in ("train", "val", "test")]
    data = load("task=text_classification", "data=text_files", "encoder=tiny", "task.head=regression", *words)
    assert set(data.test.targets) == {1500}
    notes = "\n".join(data.notes)
    assert "the point of 1.500 is the decimal sign, unless numbers of other files show" in notes
    assert "thousands point and decimal comma" in notes


def test_what_is_no_number_to_predict_is_named_by_file_and_line(tmp_path):
    file = tmp_path / "a.csv"
    words = (
        "task=text_classification",
        "data=text_files",
        "encoder=tiny",
        "task.head=regression",
        f"data.train={file}",
    )
    file.write_text("text,label\n" + "x,1.5\n" * 9 + "y,many\n")
    with pytest.raises(UserError, match=r"label: 'many' in .*a\.csv line 11 is no number"):
        load(*words)
    file.write_text('text,label\nx,"1,001"\ny,"2,002"\n')
    with pytest.raises(UserError, match=r"1,001 may be .*data\.decimal=','"):
        load(*words)

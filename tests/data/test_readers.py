"""From tables to raw examples: columns, labels, images beside the table, and what is refused."""

import io
import json
import os

import pandas as pd
import pytest
from datasets import Dataset
from PIL import Image

from mla_train.config import OnError
from mla_train.data.readers import read_table_examples
from mla_train.data.tables.cells import is_empty
from mla_train.errors import UserError
from tests.helpers import config, load, write_jsonl

WORDS = {"sad": "poor", "glad": "fine"}


def read(*words, inputs=("text", "image")):
    return read_table_examples(config("task=multimodal_sentiment", "data=text_image_files", *words).data, inputs)


def rows(count=4, start=0):
    return [
        {"text": f"a {word} day, number {i}", "image": f"images/{i}{label}.png", "label": label}
        for i in range(start, start + count)
        for label, word in WORDS.items()
    ]


def png(value=100):
    stream = io.BytesIO()
    Image.new("RGB", (6, 6), (value,) * 3).save(stream, "png")
    return stream.getvalue()


def test_rows_without_a_label_are_left_out_where_that_is_asked_for(tmp_path):
    lacking = [{**row, "label": "-"} for row in rows(1, 9)]
    file = write_jsonl(tmp_path / "a.jsonl", [*rows(), *lacking])
    words = [f"data.train={file}", "data.na_values=[-]"]
    with pytest.raises(UserError, match=r"2 rows without label, .* with data.on_error=skip"):
        read(*words, inputs=["text"])
    raw = read(*words, "data.on_error=skip", inputs=["text"])
    assert raw.splits["train"].targets == [row["label"] for row in rows()]
    assert any(note.startswith("left out 2 rows of") and note.endswith("without label") for note in raw.notes)


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        (
            "a.tsv",
            "ham\tGo until jurong point, crazy. Available only.\nspam\tFree entry in 2 a wkly comp\n",
            "data.header=false",
        ),
        ("a.txt", "text;label\na film;good\n", "rename a table to .csv or .tsv"),
    ],
)
def test_what_is_read_otherwise_than_meant_says_how_it_would_be(tmp_path, name, text, hint):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=hint):
        read(f"data.train={tmp_path / name}", "data.header=true", inputs=["text"])


def test_a_folder_of_splits_is_read_as_it_stands(tmp_path):
    for split, count, start in (("train", 4, 0), ("dev", 1, 50), ("test", 2, 60)):
        write_jsonl(tmp_path / f"{split}.jsonl", rows(count, start))
    raw = read(f"data.root={tmp_path}")
    assert list(raw.splits) == ["train", "val", "test"]
    train = raw.splits["train"]
    assert train.inputs["text"] == [row["text"] for row in rows()]
    assert train.inputs["image"] == [tmp_path.resolve() / row["image"] for row in rows()]
    assert train.targets == ["sad", "glad"] * 4
    file = tmp_path / "train.jsonl"
    assert train.names == [f"{file} line {i} ({row['image']})" for i, row in enumerate(rows(), 1)]
    assert [len(part.targets) for part in raw.splits.values()] == [8, 2, 4]
    assert (raw.notes, raw.classes) == ([], None)


def test_usual_names_in_capitals_are_read(tmp_path):
    (tmp_path / "a.csv").write_text("Text,LABEL\n" + "".join(f"film {i},{'ab'[i % 2]}\n" for i in range(40)))
    data = load("task=text_classification", "data=text_files", f"data.train={tmp_path / 'a.csv'}")
    assert data.spec.target.classes == ["a", "b"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_tables_of_other_kinds_with_other_columns(ending, tmp_path):
    content = rows()
    content[0]["text"] = content[1]["image"] = None
    table = pd.DataFrame(content).rename(columns={"text": "tweet", "image": "photo of it", "label": "mood"})
    file = tmp_path / f"mine.{ending}"
    if ending == "parquet":
        table.to_parquet(file)
    else:
        table.to_csv(file, sep="\t" if ending == "tsv" else ",", index=False)
    columns = ["data.text_column=tweet", "data.image_column='photo of it'", "data.label_column=mood"]
    train = read(f"data.train={file}", *columns).splits["train"]
    assert train.inputs["text"] == [None, *(row["text"] for row in content[1:])]
    assert train.inputs["image"][1] is None
    assert train.names[1] == f"{file} {'row 2' if ending == 'parquet' else 'line 3'}"
    assert train.targets == ["sad", "glad"] * 4


@pytest.mark.parametrize(
    ("columns", "label"),
    [(["sentence", "class"], "class"), (["review", "category"], "category"), (["content", "x", "label"], "label")],
)
def test_usual_columns_are_found(columns, label, tmp_path):
    file = write_jsonl(tmp_path / "a.jsonl", [{name: f"{name} {i}" for name in columns} for i in range(2)])
    train = read(f"data.train={file}", inputs=["text"]).splits["train"]
    assert train.inputs["text"] == [f"{columns[0]} 0", f"{columns[0]} 1"]
    assert train.targets == [f"{label} 0", f"{label} 1"]


@pytest.mark.parametrize("kind", ["text", "image", "label"])
def test_missing_columns_are_answered_with_those_that_exist(kind, tmp_path):
    file = write_jsonl(tmp_path / "a.jsonl", rows())
    message = rf"no column word; there are text, image, label\. Name the one with data\.{kind}_column="
    with pytest.raises(UserError, match=message):
        read(f"data.train={file}", f"data.{kind}_column=word")
    bare = write_jsonl(tmp_path / "b.jsonl", [{"a": 1}])
    with pytest.raises(UserError, match=r"there are a\. Name the one with data\.label_column="):
        read(f"data.train={bare}")


def test_labels_of_any_kind_stay_what_they_are(tmp_path):
    labels = [1, "1", True, ["a", "b"], [], 2.5]
    file = write_jsonl(tmp_path / "a.jsonl", [{"text": "x", "label": label} for label in labels])
    assert read(f"data.train={file}", inputs=["text"]).splits["train"].targets == labels


@pytest.mark.parametrize("label", [None, "", " ", float("nan")])
def test_an_empty_label_is_named_by_its_row(label, tmp_path):
    file = write_jsonl(tmp_path / "a.jsonl", [*rows(1), {"text": "x", "label": label}])
    with pytest.raises(UserError, match=r"a\.jsonl has 1 rows without label, the first is line 3"):
        read(f"data.train={file}", inputs=["text"])


def test_with_a_separator_an_empty_cell_is_no_label(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\none,a|b\ntwo,\nthree,b\n")
    raw = read(f"data.train={tmp_path / 'a.csv'}", "data.label_separator=|", inputs=["text"])
    assert raw.splits["train"].targets == ["a|b", "", "b"]
    (note,) = raw.notes
    assert "1 rows" in note
    assert "without any label" in note


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": {"a": 1}}, r"label holds no label in line 3: name another with data\.label_column="),
        ({"image": 7}, r"a\.jsonl line 3: the image is no path but int.*data\.image_column="),
        ({"image": ["a.png"]}, "line 3: the image is no path but list"),
    ],
)
def test_cells_that_cannot_be_meant(row, message, tmp_path):
    file = write_jsonl(tmp_path / "a.jsonl", [*rows(1), rows(1)[0] | row])
    with pytest.raises(UserError, match=message):
        read(f"data.train={file}")


def test_paths_that_lead_out_of_the_folder_are_refused_whatever_is_asked(tmp_path):
    home = tmp_path / "home"
    (tmp_path / "home2").mkdir()
    for file in (tmp_path / "secret.png", tmp_path / "home2" / "secret.png"):
        file.write_bytes(png())
    (home / "images").mkdir(parents=True)
    (home / "link.png").symlink_to(tmp_path / "secret.png")
    (home / "up").symlink_to(tmp_path)
    (home / "circle").symlink_to("circle")
    outside = [
        str(tmp_path / "secret.png"), "/etc/passwd", "../secret.png", "images/../../secret.png", "../nowhere.png",
        "../home2/secret.png", "link.png", "up/secret.png", "up/nowhere.png", "..",
    ]  # fmt: skip
    for path in outside:
        file = write_jsonl(home / "a.jsonl", [*rows(1), rows(1)[0] | {"image": path}])
        for words in ([], ["data.on_error=missing"]):
            with pytest.raises(UserError) as caught:
                read(f"data.train={file}", *words)
            assert f"a.jsonl line 3: the image {path[:40]}" in str(caught.value)
            assert "lies outside the folder of the table" in str(caught.value)
            assert "put it there" in str(caught.value)
    # What no path can be is no file, inside or outside.
    odd = ["circle/../link.png", "a\0b.png", "\ud800.png", "x" * 5000]
    file = write_jsonl(home / "a.jsonl", [rows(1)[0] | {"image": path} for path in odd])
    for image in read(f"data.train={file}").splits["train"].inputs["image"]:
        assert image.is_relative_to(home)


def test_paths_inside_the_folder_may_take_detours(tmp_path):
    home = tmp_path / "home"
    (home / "images").mkdir(parents=True)
    (home / "images" / "a.png").write_bytes(png())
    (home / "inner").symlink_to(home / "images")
    (tmp_path / "door").symlink_to(home)
    names = ["images/../images/a.png", str(home / "images" / "a.png"), "inner/a.png"]
    write_jsonl(home / "train.jsonl", [rows(1)[0] | {"image": name} for name in names])
    train = read(f"data.root={tmp_path / 'door'}").splits["train"]
    assert set(train.inputs["image"]) == {home.resolve() / "images" / "a.png"}
    assert [train.names[place].partition(" (")[2] for place in (0, 2)] == [f"{names[place]})" for place in (0, 2)]


def test_images_as_bytes_and_as_the_hub_keeps_them(tmp_path):
    cells = [{"bytes": png(), "path": None}, {"bytes": None, "path": "a.png"}, {"bytes": None, "path": None}]
    Dataset.from_dict({"img": cells, "label": [0, 1, 0]}).to_parquet(str(tmp_path / "train.parquet"))
    train = read(f"data.root={tmp_path}", inputs=["image"]).splits["train"]
    assert train.inputs["image"] == [png(), tmp_path.resolve() / "a.png", None]
    Dataset.from_dict({"img": [png()], "label": [0]}).to_parquet(str(tmp_path / "train.parquet"))
    assert read(f"data.root={tmp_path}", inputs=["image"]).splits["train"].inputs["image"] == [png()]


def test_names_of_classes_come_with_tables_of_the_hub(tmp_path):
    from datasets import ClassLabel, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features).to_parquet(str(tmp_path / "train.parquet"))
    raw = read(f"data.root={tmp_path}", inputs=["text"])
    assert raw.classes == ["no", "yes"]
    assert raw.splits["train"].targets == [1, 0]
    features["label"] = ClassLabel(names=["yes", "no"])
    Dataset.from_dict({"text": ["c", "d"], "label": [1, 0]}, features).to_parquet(str(tmp_path / "other.parquet"))
    first, other = tmp_path / "train.parquet", tmp_path / "other.parquet"
    for words in ([f"data.train={first}", f"data.test={other}"], [f"data.train=[{first},{other}]"]):
        with pytest.raises(UserError, match=r"classes of label .*write the names in place of the numbers"):
            read(*words, inputs=["text"])


def test_columns_that_are_not_used_are_said(tmp_path):
    file = write_jsonl(
        tmp_path / "a.jsonl", [{"text": f"a {i}", "label": "ab"[i % 2], "mood": 1, "by": i} for i in range(8)]
    )
    assert read(f"data.train={file}", "data.group_column=by", inputs=["text"]).notes == [
        f"{file}: not used: column mood"
    ]


@pytest.mark.parametrize("on_error", list(OnError))
def test_broken_rows_stop_or_are_left_out(on_error, tmp_path):
    file = write_jsonl(tmp_path / "a.jsonl", rows())
    file.write_text(file.read_text() + "{broken\n")
    words = [f"data.train={file}", f"data.on_error={on_error.value}"]
    if on_error is OnError.stop:
        with pytest.raises(UserError, match=r"1 rows cannot be read: .*a\.jsonl line 9.*data\.on_error=skip"):
            read(*words)
        return
    raw = read(*words)
    assert raw.notes == [f"left out 1 rows that cannot be read: {file} line 9 is no JSON object"]
    assert len(raw.splits["train"].targets) == 8


def test_files_that_are_not_there_are_asked_for(tmp_path):
    file = write_jsonl(tmp_path / "a.jsonl", rows())
    for words, message in (
        ([], r"data\.root=FOLDER, data\.train=FILE or data\.hub=NAME"),
        ([f"data.test={file}"], r"data\.train is missing"),
        ([f"data.train={tmp_path / 'b.jsonl'}"], "no such file"),
        ([f"data.root={tmp_path / 'b'}"], "no such folder"),
        ([f"data.root={tmp_path.parent}"], "holds no train file"),
    ):
        with pytest.raises(UserError, match=message):
            read(*words)


@pytest.mark.parametrize(
    ("cell", "empty"),
    [(None, True), ("", True), (" \t", True), (float("nan"), True), (0, False), ([], False), ("a", False)],
)
def test_what_is_empty(cell, empty):
    assert is_empty(cell) is empty


def test_images_are_looked_for_beside_their_own_table(tmp_path):
    files = []
    for split in ("train", "val"):
        files.append(f"data.{split}={write_jsonl(tmp_path / split / 'rows.jsonl', rows(1))}")
    raw = read(*files)
    for split, part in raw.splits.items():
        assert part.inputs["image"][0] == tmp_path.resolve() / split / "images" / "0sad.png"
    assert json.dumps(os.fspath(part.inputs["image"][0]))


@pytest.mark.parametrize("mark", ["\\N", "#NULL!", "#NV", "#N/A", "#REF!"])
def test_marks_of_databases_and_spreadsheets_are_no_texts_and_no_labels(mark, tmp_path):
    lines = [f"film {i}\t{'ab'[i % 2]}" for i in range(40)]
    task = ["task=text_classification", "data=text_files", f"data.train={tmp_path / 'a.tsv'}"]
    (tmp_path / "a.tsv").write_text("\n".join(["text\tlabel", *lines, f"{mark}\ta"]))
    assert "left out 1 examples of train without text" in load(*task).notes
    (tmp_path / "a.tsv").write_text("\n".join(["text\tlabel", *lines, f"film\t{mark}"]))
    with pytest.raises(UserError, match="1 rows without label, the first is line 42"):
        load(*task)


def test_words_that_may_mean_nothing_are_said(tmp_path):
    lines = [f"film {i},{'ab'[i % 2]}" for i in range(40)]
    file = tmp_path / "{a}.csv"
    file.write_text("\n".join(["text,label", *lines, "NULL,a", "so so,NA", "fine,NA"]))
    notes = load("task=text_classification", "data=text_files", f"data.train='{file}'").notes
    where = "where that means a missing value"
    assert f"{file} column text: 1 cells are NULL: {where}, data.na_values= names it" in notes
    assert f"{file} column label: 2 cells are NA: {where}, remove these rows" in notes


def test_labels_that_a_spreadsheet_made_dates_are_said(tmp_path):
    labels = ["1-2" if i % 2 else pd.Timestamp(2024, 2, 1) for i in range(40)]
    pd.DataFrame({"text": [f"film {i}" for i in range(40)], "label": labels}).to_excel(tmp_path / "a.xlsx", index=False)
    notes = load("task=text_classification", "data=text_files", f"data.train={tmp_path / 'a.xlsx'}").notes
    assert any(note.startswith("20 labels are dates and others are not, the first is in") for note in notes)

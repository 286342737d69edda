"""The user's own texts with pictures: what is missing, broken, repeated, and what is refused."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mla_train.errors import UserError
from mla_train.training.build import build_data
from tests.helpers import config

WORDS = {"sad": "poor", "glad": "fine"}


def read(*words, data="text_image_files"):
    module = build_data(config("task=multimodal_sentiment", f"data={data}", *words))
    module.setup()
    return module


def picture(file, value=100, size=(8, 8)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value // 2, 0)).save(file)


def rows(folder, count=20, start=0):
    """Rows of two labels, with a picture of its own each."""
    found = []
    for i in range(start, start + count):
        for number, (label, word) in enumerate(WORDS.items()):
            name = f"pictures/{i}{label}.png"
            picture(folder / name, 2 * i + 100 * number)
            found.append({"text": f"a {word} day, number {i}", "image": name, "label": label})
    return found


def write(file, content):
    file.write_text("".join(json.dumps(row) + "\n" for row in content))
    return file


def write_parts(folder, train):
    """A folder whose val and test are whole."""
    for part, content in (("train", train), ("val", rows(folder, 2, 50)), ("test", rows(folder, 3, 60))):
        write(folder / f"{part}.jsonl", content)
    return f"data.root={folder}"


def brightness(split):
    return split.columns["image"].images[:, 0, 0, 0].tolist()


def test_a_folder_of_parts_is_read_as_it_stands(tmp_path):
    content = rows(tmp_path)
    data = read(write_parts(tmp_path, content), "regularization=none")
    assert not data.notes
    assert [len(part) for part in (data.train, data.val, data.test)] == [40, 4, 6]
    assert data.facts.classes == ["glad", "sad"]
    assert data.train.columns["text"].texts == [row["text"] for row in content]
    assert data.train.names == [row["image"] for row in content]
    assert data.train.labels.tolist() == [1, 0] * 20
    assert brightness(data.train) == [value for i in range(20) for value in (2 * i, 2 * i + 100)]
    assert brightness(data.val) == [100, 200, 102, 202]
    assert not any(data.train.lacks(name).any() for name in data.facts.modalities)
    image = data.facts.images["image"]
    assert (image.channels, image.height, image.width) == (3, 8, 8)
    batch = data.collate([data.test[0], data.test[1]], training=False)
    assert batch.inputs["image"].shape == (2, 3, 8, 8)


def test_missing_parts_are_cut_stratified_and_said_so(tmp_path):
    data = read(f"data.train={write(tmp_path / 'mine.jsonl', rows(tmp_path))}")
    assert [len(part) for part in (data.train, data.val, data.test)] == [29, 3, 8]
    assert np.bincount(data.test.labels).tolist() == [4, 4]
    assert [note.split(":")[0] for note in data.notes] == ["no test part is given", "no val part is given"]
    assert "cut 8 of 40 training examples off" in data.notes[0]
    assert "data.split_seed=0" in data.notes[0]
    parts = [set(part.names) for part in (data.train, data.val, data.test)]
    assert len(set.union(*parts)) == 40
    for part in (data.train, data.val, data.test):
        for name, value, text in zip(part.names, brightness(part), part.columns["text"].texts, strict=True):
            assert Image.open(tmp_path / name).getpixel((0, 0))[0] == value
            assert text.endswith(f" {int(''.join(filter(str.isdigit, name)))}")


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_tables_of_other_kinds_with_other_columns(ending, tmp_path):
    content = rows(tmp_path)
    content[0]["text"] = content[1]["image"] = None
    table = pd.DataFrame(content).rename(columns={"text": "tweet", "image": "photo", "label": "mood"})
    file = tmp_path / f"mine.{ending}"
    if ending == "parquet":
        table.to_parquet(file)
    else:
        table.to_csv(file, sep="\t" if ending == "tsv" else ",", index=False)
    columns = ["data.text_column=tweet", "data.image_column=photo", "data.label_column=mood"]
    data = read(f"data.train={file}", *columns)
    parts = [data.train, data.val, data.test]
    assert sum(len(part) for part in parts) == 40
    assert [sum(int(part.lacks(name).sum()) for part in parts) for name in ("text", "image")] == [1, 1]


def test_texts_are_cleaned_and_what_is_missing_is_marked(tmp_path):
    content = rows(tmp_path)
    content[0]["text"] = " a\tfine  cafe\u0301 "
    content[1]["text"] = None
    content[2]["text"] = "  "
    content[3]["image"] = None
    content[4]["image"] = ""
    del content[5]["image"]
    data = read(write_parts(tmp_path, content), "regularization=none", "task.modality_dropout=0")
    assert data.train.columns["text"].texts[0] == "a fine café"
    assert np.flatnonzero(data.train.lacks("text")).tolist() == [1, 2]
    assert np.flatnonzero(data.train.lacks("image")).tolist() == [3, 4, 5]
    assert not data.train.columns["image"].images[3:6].any()
    assert data.train.names[3:6] == [f"{tmp_path / 'train.jsonl'} row {row}" for row in (4, 5, 6)]
    assert data.notes == ["2 of 40 examples of train have no text", "3 of 40 examples of train have no image"]
    batch = data.collate([data.train[i] for i in range(5)], training=False)
    assert batch.missing("text").tolist() == [False, True, True, False, False]
    assert batch.missing("image").tolist() == [False, False, False, True, True]


def test_only_what_is_asked_for_is_read_in_its_order(tmp_path):
    content = rows(tmp_path)
    root = write_parts(tmp_path, [row | {"image": "../../nowhere.png"} for row in content])
    data = read(root, "data.modalities=[text]", "data.image_column=none")
    assert list(data.train.columns) == ["text"]
    assert data.train.names[0] == f"{tmp_path / 'train.jsonl'} row 1"
    root = write_parts(tmp_path, content)
    assert list(read(root, "data.modalities=[image]", "data.text_column=none").train.columns) == ["image"]
    assert read(root, "data.modalities=[image,text]").facts.modalities == ["image", "text"]
    with pytest.raises(UserError, match=r"lies outside"):
        read(write_parts(tmp_path, [{"image": "../../nowhere.png", "label": 0}]), "data.modalities=[image]")


def test_paths_that_lead_out_of_the_folder_are_refused_whatever_is_asked(tmp_path):
    home = tmp_path / "home"
    content = rows(home)
    picture(tmp_path / "secret.png")
    picture(tmp_path / "home2" / "secret.png")
    (home / "link.png").symlink_to(tmp_path / "secret.png")
    (home / "up").symlink_to(tmp_path)
    (home / "circle").symlink_to("circle")
    outside = [
        str(tmp_path / "secret.png"), "/etc/passwd", "../secret.png", "pictures/../../secret.png", "../nowhere.png",
        "../home2/secret.png", "link.png", "up/secret.png", "up/nowhere.png", "..",
    ]  # fmt: skip
    for path in outside:
        content[3]["image"] = path
        for words in ([], ["data.on_error=missing"]):
            with pytest.raises(UserError) as caught:
                read(write_parts(home, content), *words)
            assert f"train.jsonl row 4: the picture {path} lies outside the folder of the table" in str(caught.value)
            assert "put it there" in str(caught.value)
    # Behind a link in a circle the rest of a path is not followed: it leads nowhere, not out.
    content[3]["image"] = "circle/../link.png"
    assert read(write_parts(home, content), "data.on_error=missing").train.lacks("image")[3]


def test_paths_inside_the_folder_may_take_detours(tmp_path):
    home = tmp_path / "home"
    content = rows(home)
    (home / "inner").symlink_to(home / "pictures")
    (tmp_path / "door").symlink_to(home)
    names = ["pictures/../pictures/0sad.png", str(home / "pictures/0glad.png"), "inner/1sad.png"]
    for row, name in zip(content, names, strict=False):
        row["image"] = name
    write_parts(home, content)
    data = read(f"data.root={tmp_path / 'door'}")
    assert not data.train.lacks("image").any()
    assert brightness(data.train)[:4] == [0, 100, 2, 102]
    assert data.train.names[:3] == names


def test_pictures_lie_beside_the_table_that_names_them(tmp_path):
    files = []
    for part, start, count in (("train", 0, 10), ("val", 20, 2), ("test", 30, 2)):
        (tmp_path / part).mkdir()
        files.append(f"data.{part}={write(tmp_path / part / 'rows.jsonl', rows(tmp_path / part, count, start))}")
    data = read(*files)
    assert brightness(data.test) == [60, 160, 62, 162]


def test_broken_pictures_stop_or_are_missing(tmp_path):
    content = rows(tmp_path)
    (tmp_path / "pictures" / "0sad.png").write_bytes(b"not a picture")
    whole = (tmp_path / "pictures" / "1sad.png").read_bytes()
    (tmp_path / "pictures" / "1sad.png").write_bytes(whole[: len(whole) // 2])
    os.mkfifo(tmp_path / "pictures" / "pipe.png")
    odd = ["pictures/none.png", "pictures", "x" * 3000, "a\0b.png", "\ud800.png", "pictures/pipe.png", "circle"]
    (tmp_path / "circle").symlink_to("circle")
    for row, name in zip(content[4:], odd, strict=False):
        row["image"] = name
    root = write_parts(tmp_path, content)
    with pytest.raises(UserError) as caught:
        read(root)
    message = str(caught.value)
    place = f"({tmp_path / 'train.jsonl'} row"
    assert message.startswith(
        f"9 of 50 pictures cannot be read: pictures/0sad.png {place} 1), pictures/1sad.png {place} 3)"
    )
    assert f"pictures/none.png {place} 5), pictures {place} 6)" in message
    assert message.count(place) == 5
    assert message.endswith("Mend or remove them, or take them as missing with data.on_error=missing")
    data = read(root, "data.on_error=missing")
    assert data.notes[0].startswith("9 of 50 pictures cannot be read: pictures/0sad.png")
    assert data.notes[0].endswith("; they are taken as missing")
    assert np.flatnonzero(data.train.lacks("image")).tolist() == [0, 2, *range(4, 11)]
    assert brightness(data.train)[:4] == [0, 100, 0, 102]
    alone = read(root, "data.on_error=missing", "data.modalities=[image]")
    assert len(alone.train) == 31
    assert "left out 9 rows of train without image" in alone.notes


def test_no_picture_that_can_be_read_at_all(tmp_path):
    content = [row | {"image": "pictures/none.png"} for row in rows(tmp_path)]
    file = write(tmp_path / "a.jsonl", content)
    for words in ([], ["data.on_error=missing"]):
        with pytest.raises(
            UserError, match=r"40 of 40 pictures cannot be read: pictures/none.*data\.modalities=\[text\]"
        ):
            read(f"data.train={file}", *words)
    file = write(tmp_path / "a.jsonl", [row | {"image": None} for row in content])
    with pytest.raises(UserError, match=r"no training example has image; leave it out: data\.modalities="):
        read(f"data.train={file}")


def test_sizes_of_pictures(tmp_path):
    content = rows(tmp_path)
    picture(tmp_path / content[0]["image"], size=(30, 20))
    data = read(write_parts(tmp_path, content))
    assert data.test.columns["image"].images.shape[1:] == (3, 64, 64)
    assert any("30 x 20 are cut to their middle and brought to 64 x 64" in note for note in data.notes)
    assert read(f"data.root={tmp_path}", "data.image_size=16").facts.images["image"].height == 16
    with pytest.raises(UserError, match=r"data\.image_size=2: from 4 to 1024 pixels"):
        read(f"data.root={tmp_path}", "data.image_size=2")


def test_broken_rows_stop_or_are_left_out(tmp_path):
    file = write(tmp_path / "a.jsonl", rows(tmp_path))
    file.write_text(file.read_text() + "{broken\n")
    with pytest.raises(UserError, match=r"1 rows cannot be read: .*a\.jsonl line 41.*data\.on_error=missing"):
        read(f"data.train={file}")
    data = read(f"data.train={file}", "data.on_error=missing")
    assert data.notes[0] == f"left out 1 rows that cannot be read: {file} line 41"
    file.write_text("{broken\n")
    with pytest.raises(UserError, match=r"a\.jsonl has no row that can be read"):
        read(f"data.train={file}", "data.on_error=missing")


def test_waste_is_left_out_and_counted(tmp_path):
    content = rows(tmp_path)
    again = content[0] | {"text": f" {content[0]['text']}  ", "image": "pictures/../" + content[0]["image"]}
    other_label, other_picture = content[0] | {"label": "glad"}, content[0] | {"image": content[3]["image"]}
    nothing = {"text": " ", "image": None, "label": "sad"}
    root = write_parts(tmp_path, [*content, nothing, again, other_label, nothing, other_picture, content[5]])
    write(tmp_path / "test.jsonl", [*rows(tmp_path, 3, 60), *content[:2], nothing, *content[:1]])
    data = read(root)
    assert data.notes == [
        "left out 2 rows of train without text or image",
        "left out 1 rows of test without text or image",
        "left out 2 repeated rows of train",
        "3 examples of test are in train too, with the same text and image; they stay, so that scores can be compared",
    ]
    assert len(data.train) == 42
    assert len(data.test) == 9


def test_what_is_repeated_depends_on_what_is_read(tmp_path):
    content = [row | {"text": f"the {WORDS[row['label']]} same"} for row in rows(tmp_path)]
    file = write(tmp_path / "a.jsonl", [*content, *rows(tmp_path)])
    data = read(f"data.train={file}", "data.modalities=[text]")
    assert data.notes[0] == "left out 38 repeated rows of train"
    data = read(f"data.train={file}", "data.modalities=[image]")
    assert data.notes[0] == "left out 40 repeated rows of train"
    assert sum(len(part) for part in (data.train, data.val, data.test)) == 40


def test_a_picture_of_several_rows_is_read_once(tmp_path, monkeypatch):
    content = [row | {"image": f"pictures/{i % 2}sad.png"} for i, row in enumerate(rows(tmp_path))]
    counts = []

    def count(sources, *words, **options):
        counts.append(len(sources))
        return read_pictures(sources, *words, **options)

    from tasks.multimodal_sentiment.files import read_pictures

    monkeypatch.setattr("tasks.multimodal_sentiment.files.read_pictures", count)
    data = read(write_parts(tmp_path, content))
    assert counts == [2 + 4 + 6]
    assert brightness(data.train) == [0, 2] * 20


def test_names_and_order_of_labels(tmp_path):
    content = [row | {"label": 10 * (row["label"] == "glad")} for row in rows(tmp_path)]
    file = write(tmp_path / "a.jsonl", content)
    assert read(f"data.train={file}").facts.classes == ["0", "10"]
    assert read(f"data.train={file}", "data.labels=[down,up]").facts.classes == ["down", "up"]
    with pytest.raises(UserError, match=r"data\.labels names 3 classes, but there are 0, 10"):
        read(f"data.train={file}", "data.labels=[a,b,c]")
    mixed = [row | {"label": label} for row, label in zip(rows(tmp_path), ["b", 2, "10", "a"] * 10, strict=True)]
    assert read(f"data.train={write(file, mixed)}", "data.val_share=0.2").facts.classes == ["2", "10", "a", "b"]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ({}, {"label": "mixed"}, "test has label mixed, which train lacks"),
        ({}, {"label": None}, r"test\.jsonl has 1 rows without a single label, the first is row 3; mend"),
        ({"label": ""}, {}, r"train\.jsonl has 1 rows without a single label, the first is row 3"),
        ({"label": ["glad", "sad"]}, {}, "1 rows without a single label"),
        ({"label": float("nan")}, {}, "1 rows without a single label"),
        ({"image": {"bytes": "abc"}}, {}, r"train\.jsonl row 3: image holds no path but dict.*data\.image_column="),
        ({"image": 7}, {}, "image holds no path but int"),
    ],
)
def test_bad_rows_are_explained(train, test, message, tmp_path):
    root = write_parts(tmp_path, rows(tmp_path))
    for part, change in (("train", train), ("test", test)):
        content = rows(tmp_path, 5)
        write(tmp_path / f"{part}.jsonl", [*content[:2], content[2] | change, *content[3:]])
    with pytest.raises(UserError, match=message):
        read(root)


def test_a_part_or_class_of_which_nothing_is_left(tmp_path):
    content = rows(tmp_path)
    root = write_parts(tmp_path, content)
    write(tmp_path / "test.jsonl", [{"text": " ", "image": None, "label": "sad"}])
    with pytest.raises(UserError, match=r"the test part has no row with text or image; give it some"):
        read(root)
    with pytest.raises(UserError, match=r"the test part has no row with text; give it some"):
        read(root, "data.modalities=[text]")
    with pytest.raises(UserError, match=r"a single class \(sad\)"):
        read(f"data.train={write(tmp_path / 'a.jsonl', content[::2])}")


@pytest.mark.parametrize("kind", ["text", "image", "label"])
def test_missing_columns_are_answered_with_those_that_exist(kind, tmp_path):
    file = write(tmp_path / "a.jsonl", rows(tmp_path))
    message = rf"no column word; there are text, image, label\. Name the one with data\.{kind}_column="
    with pytest.raises(UserError, match=message):
        read(f"data.train={file}", f"data.{kind}_column=word")


def test_files_that_are_not_there_are_asked_for(tmp_path):
    file = write(tmp_path / "a.jsonl", rows(tmp_path))
    with pytest.raises(UserError, match=r"data\.root=FOLDER or data\.train=FILE"):
        read()
    with pytest.raises(UserError, match=r"data\.train is missing"):
        read(f"data.test={file}")
    with pytest.raises(UserError, match="no such file"):
        read(f"data.train={tmp_path / 'b.jsonl'}")
    with pytest.raises(UserError, match="no such folder"):
        read(f"data.root={tmp_path / 'b'}")
    with pytest.raises(UserError, match="holds no train file"):
        read(f"data.root={tmp_path}")


def test_pictures_are_decoded_once_and_again_when_they_change(tmp_path, monkeypatch):
    monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path / "cache"))
    content = rows(tmp_path)
    root = write_parts(tmp_path, content)
    first = read(root)
    monkeypatch.setattr("tasks.multimodal_sentiment.files.read_pictures", None)
    again = read(root)
    assert again.facts == first.facts
    assert torch.equal(again.train.columns["image"].images, first.train.columns["image"].images)
    picture(tmp_path / content[0]["image"], 250)
    with pytest.raises(TypeError):
        read(root)
    monkeypatch.undo()
    assert brightness(read(root).train)[0] == 250


@pytest.mark.shared_data
def test_tweets_with_pictures_from_a_folder(shared_data, tmp_path, monkeypatch):
    root = shared_data / "multimodal" / "mvsa_single"
    monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path))
    data = read(f"data.root={root}", data="mvsa_single")
    assert [len(part) for part in (data.train, data.val, data.test)] == [3611, 450, 450]
    assert data.facts.classes == ["negative", "neutral", "positive"]
    assert np.bincount(data.test.labels).tolist() == [135, 47, 268]
    image = data.facts.images["image"]
    assert (image.channels, image.height, image.width) == (3, 64, 64)
    assert not any(data.train.lacks(name).any() for name in data.facts.modalities)
    monkeypatch.setattr("tasks.multimodal_sentiment.files.read_pictures", None)
    again = read(f"data.root={root}", data="mvsa_single")
    assert torch.equal(again.test.columns["image"].images, data.test.columns["image"].images)

"""The user's own texts with images, end to end: what is missing, broken, repeated, asked for."""

import numpy as np
import pytest
import torch
from PIL import Image

from mla_train.errors import UserError
from mla_train.modalities.image import decode
from tests.helpers import batch_of, load, write_jsonl

WORDS = {"sad": "poor", "glad": "fine"}


def read(*words, data="text_image_files"):
    return load("task=multimodal_sentiment", f"data={data}", *words)


def picture(file, value=100, size=(8, 8)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value // 2, 0)).save(file)


def rows(folder, count=20, start=0):
    """Rows of two labels, with an image of its own each."""
    made = []
    for i in range(start, start + count):
        for number, (label, word) in enumerate(WORDS.items()):
            name = f"images/{i}{label}.png"
            picture(folder / name, 2 * i + 100 * number)
            made.append({"text": f"a {word} day, number {i}", "image": name, "label": label})
    return made


def write_splits(folder, train):
    """A folder whose val and test are whole."""
    for split, content in (("train", train), ("val", rows(folder, 2, 50)), ("test", rows(folder, 3, 60))):
        write_jsonl(folder / f"{split}.jsonl", content)
    return f"data.root={folder}"


def brightness(split):
    return split.columns["image"].images[:, 0, 0, 0].tolist()


def missing(split, name):
    return np.flatnonzero(split.columns[name].is_missing()).tolist()


def image_of(name):
    """The path of the image in the name of an example."""
    return name[len(f"{name.file} {name.row} (") : -1]


def test_a_folder_of_splits_is_read_as_it_stands(tmp_path):
    content = rows(tmp_path)
    data = read(write_splits(tmp_path, content))
    assert not data.notes
    assert [len(part) for part in (data.train, data.val, data.test)] == [40, 4, 6]
    assert data.train.columns["text"].texts == [row["text"] for row in content]
    assert list(map(image_of, data.train.names)) == [row["image"] for row in content]
    assert data.train.targets.tolist() == [1, 0] * 20
    assert brightness(data.train) == [value for i in range(20) for value in (2 * i, 2 * i + 100)]
    assert brightness(data.val) == [100, 200, 102, 202]
    assert not missing(data.train, "text") + missing(data.train, "image")
    spec = data.spec.inputs["image"].spec
    assert (spec.channels, spec.height, spec.width) == (3, 8, 8)
    assert batch_of(data, "test", 2).inputs["image"].images.shape == (2, 3, 8, 8)


def test_missing_splits_are_cut_and_examples_stay_together(tmp_path):
    data = read(f"data.train={write_jsonl(tmp_path / 'mine.jsonl', rows(tmp_path))}")
    assert [len(part) for part in (data.train, data.val, data.test)] == [29, 3, 8]
    for part in (data.train, data.val, data.test):
        for name, value, text in zip(part.names, brightness(part), part.columns["text"].texts, strict=True):
            assert Image.open(tmp_path / image_of(name)).getpixel((0, 0))[0] == value
            assert text.endswith(f" {int(''.join(filter(str.isdigit, image_of(name))))}")


def test_what_is_missing_is_marked_and_counted(tmp_path):
    content = rows(tmp_path)
    content[1]["text"], content[2]["text"] = None, "  "
    content[3]["image"], content[4]["image"] = None, ""
    del content[5]["image"]
    data = read(write_splits(tmp_path, content), "regularization=none", "task.modality_dropout=0")
    assert missing(data.train, "text") == [1, 2]
    assert missing(data.train, "image") == [3, 4, 5]
    assert data.train.names[3:6] == [f"{tmp_path / 'train.jsonl'} line {row}" for row in (4, 5, 6)]
    assert data.notes == ["2 of 40 examples of train have no text", "3 of 40 examples of train have no image"]
    inputs = batch_of(data, count=5).inputs
    assert inputs["text"].padding.all(1).tolist() == [False, True, True, False, False]
    assert inputs["image"].padding.all(1).tolist() == [False, False, False, True, True]


def test_only_what_is_asked_for_is_read_in_its_order(tmp_path):
    content = rows(tmp_path)
    root = write_splits(tmp_path, [row | {"image": "../../nowhere.png"} for row in content])
    data = read(root, "data.modalities=[text]", "data.image_column=none")
    assert list(data.train.columns) == ["text"]
    root = write_splits(tmp_path, content)
    assert list(read(root, "data.modalities=[image]", "data.text_column=none").train.columns) == ["image"]
    assert list(read(root, "data.modalities=[image,text]").spec.inputs) == ["image", "text"]


def test_broken_images_stop_or_are_missing_or_left_out(tmp_path):
    content = rows(tmp_path)
    (tmp_path / "images" / "0sad.png").write_bytes(b"not an image")
    odd = ["images/none.png", "images", "x" * 3000, "a\0b.png", "\ud800.png"]
    for row, name in zip(content[4:], odd, strict=False):
        row["image"] = name
    root = write_splits(tmp_path, content)
    with pytest.raises(UserError) as caught:
        read(root)
    message = str(caught.value)
    assert message.startswith(
        f"6 of 50 examples have image that cannot be read: {tmp_path / 'train.jsonl'} line 1 (images/0sad.png), "
    )
    assert "data.on_error=missing" in message
    data = read(root, "data.on_error=missing")
    assert data.notes[0].startswith("6 of 50 examples have image that cannot be read: ")
    assert "line 5 (images/none.png)" in data.notes[0]
    assert data.notes[0].endswith("; they are taken as missing")
    assert missing(data.train, "image") == [0, *range(4, 9)]
    assert brightness(data.train)[1:4] == [100, 2, 102]
    assert len(read(root, "data.on_error=skip").train) == 34
    alone = read(root, "data.on_error=missing", "data.modalities=[image]")
    assert len(alone.train) == 34
    assert "left out 6 examples of train without image" in alone.notes


def test_what_is_repeated_depends_on_what_is_read(tmp_path):
    content = [row | {"text": f"the {WORDS[row['label']]} same"} for row in rows(tmp_path)]
    again = rows(tmp_path)
    again[0] |= {"text": content[0]["text"], "image": "images/../" + again[0]["image"]}
    file = write_jsonl(tmp_path / "a.jsonl", [*content, *again])
    repeats = {"[text]": 38 + 1, "[image]": 40, "[text,image]": 1}
    for names, count in repeats.items():
        notes = read(f"data.train={file}", f"data.modalities={names}").notes
        assert f"left out {count} repeated examples of train" in notes
        lacking = [name for name in ("text", "image") if name not in names]
        assert [note for note in notes if "not used" in note] == [
            f"{file}: not used: column {name}" for name in lacking
        ]


def test_images_are_decoded_once_and_again_when_they_change(tmp_path, monkeypatch):
    monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path / "cache"))
    content = rows(tmp_path, 4)
    root = write_splits(tmp_path, content)
    first = read(root)
    monkeypatch.setattr(decode, "to_array", None)
    again = read(root)
    assert again.spec.to_dict() == first.spec.to_dict()
    assert torch.equal(again.train.columns["image"].images, first.train.columns["image"].images)
    picture(tmp_path / content[0]["image"], 250)
    with pytest.raises(TypeError):
        read(root)


@pytest.mark.shared_data
def test_tweets_with_images_from_a_folder(shared_data):
    data = read(f"data.root={shared_data / 'multimodal' / 'mvsa_single'}", data="mvsa_single")
    assert [len(part) for part in (data.train, data.val, data.test)] == [3611, 450, 450]
    assert data.spec.target.classes == ["negative", "neutral", "positive"]
    assert np.bincount(data.test.targets).tolist() == [135, 47, 268]
    spec = data.spec.inputs["image"].spec
    assert (spec.channels, spec.height, spec.width) == (3, 64, 64)
    assert not missing(data.train, "text") + missing(data.train, "image")

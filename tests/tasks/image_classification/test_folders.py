"""Folders and tables of images as people have them: names of splits, hidden files, files of other kinds, layouts."""

import shutil

import pandas as pd
import pytest

from mla_train.errors import UserError
from mla_train.inference.files import open_input
from tests.helpers import load, write_jsonl, write_pictures


def folder(root, *words):
    return load("data=image_folder", f"data.root={root}", *words)


def sizes(data):
    return [len(part) for part in (data.train, data.val, data.test)]


@pytest.mark.parametrize(
    "names", [("Training", "Validation", "Testing"), ("TRAIN", "Dev", "Test"), ("train", "Valid", "testing")]
)
def test_splits_have_many_names(tmp_path, names):
    for name, count in zip(names, (6, 3, 4), strict=True):
        write_pictures(tmp_path / name, ("glioma", "notumor"), count)
    data = folder(tmp_path)
    assert sizes(data) == [12, 6, 8]
    assert data.spec.target.classes == ["glioma", "notumor"]
    assert not data.notes


def test_what_is_left_out_is_said(tmp_path):
    write_pictures(tmp_path / "Train")
    write_pictures(tmp_path / "Test", count=2)
    picture = tmp_path / "Train" / "cat" / "0.png"
    hidden = (".thumbnails/0.png", "__MACOSX/cat/0.png", "@eaDir/0.png", "._1.png", "Thumbs.db", "inner/.cache/0.png")
    for name in (*hidden, "inner/more/new.PNG", "a.txt", "b.TXT", "c.xml", "LICENSE"):
        file = tmp_path / "Train" / "cat" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, file)
    shutil.copy(picture, tmp_path / "Test" / "beside.png")
    (tmp_path / "unlabelled").mkdir()
    (tmp_path / "Train" / "owl").mkdir()
    data = folder(tmp_path, "data.val_share=0.2")
    assert sum(sizes(data)) == 25 + 4
    assert "Train/cat/inner/more/new.PNG" in [*data.train.names, *data.val.names]
    assert sorted(note for note in data.notes if note.startswith("left out")) == [
        "left out 1 images beside the class folders: Test/beside.png",
        "left out 2 folders without a class: unlabelled, Train/owl",
        "left out 4 files that are no images: 2 .txt, 1 without ending, 1 .xml",
        "left out 6 hidden files: Train/cat/._1.png, Train/cat/.thumbnails/0.png, ...",
    ]
    shown = [row.cells["image"] for row in open_input(str(tmp_path / "Train" / "cat")).rows]
    assert len(shown) == 13


def make_layout(root, *folders):
    for name in folders:
        write_pictures(root / name, ("cat", "dog"), 2)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["pictures"], r"one folder, pictures, with cat, dog in it.*data\.root=.*pictures"),
        (["set/train", "set/test"], r"holds test, train: splits come before classes.*data\.root=.*set"),
        (["train/inner", "test"], r"one folder, inner, with cat, dog.*move them up to"),
        (["seg_train", "seg_test"], r"seg_test and seg_train, which look like splits.*rename"),
        (["train2017", "val2017"], r"look like splits.*rename them to train and val"),
        (["val", "validation", "train"], r"val and validation, both val: rename or remove"),
    ],
)
def test_other_layouts_are_questioned(tmp_path, folders, message):
    make_layout(tmp_path, *folders)
    with pytest.raises(UserError, match=message):
        folder(tmp_path)


def test_splits_inside_of_classes_are_questioned(tmp_path):
    for name in ("cat", "dog"):
        write_pictures(tmp_path / name, ("train", "test"), 2)
    with pytest.raises(UserError, match=r"cat holds test, train: splits come before classes, as in .*/train/cat"):
        folder(tmp_path)


@pytest.mark.parametrize("names", [("Cat", "cat"), ("caf\u00e9", "cafe\u0301")])
def test_classes_of_one_name_are_questioned(tmp_path, names):
    write_pictures(tmp_path / "train", names)
    with pytest.raises(UserError, match="differ in spelling alone"):
        folder(tmp_path)


def test_ordinary_words_are_classes(tmp_path):
    write_pictures(tmp_path, ("test_tube", "train_station", "devil"), 20)
    assert folder(tmp_path).spec.target.classes == ["devil", "test_tube", "train_station"]


def test_numbers_in_names_of_classes_count_by_size(tmp_path):
    write_pictures(tmp_path, ("class10", "class2", "class1", "b"), 20)
    assert folder(tmp_path).spec.target.classes == ["b", "class1", "class2", "class10"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "xlsx"])
def test_tables_of_paths(tmp_path, ending):
    write_pictures(tmp_path / "images")
    rows = [{"file_name": f"images/{name}/{i}.png", "label": name} for name in ("cat", "dog") for i in range(12)]
    file, table = tmp_path / f"labels.{ending}", pd.DataFrame(rows)
    if ending == "jsonl":
        write_jsonl(file, rows)
    elif ending == "xlsx":
        table.to_excel(file, index=False)
    else:
        table.to_csv(file, index=False, sep="\t" if ending == "tsv" else ",")
    named = [
        load("data=image_table", f"data.{where}") for where in (f"train={file}", f"root={file}", f"root={tmp_path}")
    ]
    for data in named:
        assert sizes(data) == [17, 2, 5]
        assert data.spec.target.classes == ["cat", "dog"]
        images, names = data.test.columns["image"].images, data.test.names
        assert [int(image.float().mean() > 120) for image in images] == [int("dog" in name) for name in names]
    with pytest.raises(UserError, match=r"a single class \(images\).*data=image_table data\.root=.*labels"):
        make_single(tmp_path)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"labels\.\w+.*data\.train=FILE"):
        load("data=image_table", f"data.root={tmp_path}")


def make_single(root):
    """Images that are no class folders, beside their table."""
    for file in sorted((root / "images").rglob("*.png")):
        file.rename(root / "images" / f"{file.parent.name}{file.name}")
    folder(root)


def test_addresses_are_refused(tmp_path):
    file = write_jsonl(
        tmp_path / "a.jsonl", [{"image": "https://example.org/a.png", "label": i % 2} for i in range(20)]
    )
    with pytest.raises(UserError, match=r"https://example\.org/a\.png is an address.*relative to the table"):
        load("data=image_table", f"data.train={file}")

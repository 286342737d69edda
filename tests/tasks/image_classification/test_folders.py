"""Folders and tables of images as people have them: names of splits, hidden files, files of other kinds, layouts."""

import os
import shutil

import pandas as pd
import pytest
from PIL import Image

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
        (
            ["fold1", "fold2", "fold3"],
            r"fold1, fold2, fold3 .*same folders \(cat, dog\).*data\.train=FOLDER.*data\.train=\.$",
        ),
        (["train", "test1"], r"test1 holds their classes, too \(cat, dog\).*data\.train=train data\.test=test1"),
        (["train", "test", "extra"], r"extra holds their classes.*data\.test="),
        (["train_flipped", "test"], r"no train folder.*data\.train=FOLDER data\.test=test"),
        (["train2017", "val2017"], r"look like splits.*rename them to train and val"),
        ([".", "images"], r"images holds cat, dog, as .* does: the data set seems to lie inside of itself"),
        (["val", "validation", "train"], r"val and validation, both val: rename or remove"),
    ],
)
def test_other_layouts_are_questioned(tmp_path, folders, message):
    make_layout(tmp_path, *folders)
    with pytest.raises(UserError, match=message):
        folder(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        {"train": "Trainingset", "test": "Testset"},
        {"train": "TrainSet", "val": "ValidationSet", "test": "TestSet"},
        {"train": "traindata", "test": "testdata"},
        {"train": "1_train", "val": "2-val", "test": "3. test"},
        {"train": "Training Images", "test": "Test Images"},
        {"train": "train", "val": "eval", "test": "tests"},
        {"train": "train", "test": "holdout"},
        {"train": "entrenamiento", "test": "prueba"},
    ],
)
def test_unusual_names_of_splits_are_read_and_said(tmp_path, names):
    counts = {"train": 12, "val": 3, "test": 4}
    for split, name in names.items():
        write_pictures(tmp_path / name, count=counts[split])
    data = folder(tmp_path)
    assert data.spec.target.classes == ["cat", "dog"]
    assert all(f"{name}/" in data.__dict__[split].names[0] for split, name in names.items())
    assert len(data.test) == 8
    said = next(note for note in data.notes if "data.train=" in note)
    assert all(f"{name} is {split}" in said for split, name in names.items() if name not in ("train", "test"))


def test_folders_of_splits_can_be_named(tmp_path):
    make_layout(tmp_path, "first", "second", "third")
    data = folder(tmp_path, "data.train=first", "data.test=third", "data.val_share=0.5")
    assert sizes(data) == [2, 2, 4]
    assert data.test.names[0].startswith("third/")
    assert "left out 1 folders without a class: second" in data.notes
    data = folder(tmp_path, "data.train=.", "data.val_share=0.4", "data.test_share=0.3")
    assert data.spec.target.classes == ["first", "second", "third"]
    for words, message in (
        (["data.train=fourth"], r"data\.train=fourth: there is no such folder"),
        (["data.test=first"], r"data\.train is missing"),
    ):
        with pytest.raises(UserError, match=message):
            folder(tmp_path, *words)


def test_a_class_may_be_called_train(tmp_path):
    write_pictures(tmp_path, ("bus", "car", "train"))
    with pytest.raises(UserError, match=r"If train is a class: data\.train=\."):
        folder(tmp_path)
    assert folder(tmp_path, "data.train=.").spec.target.classes == ["bus", "car", "train"]


def test_classes_with_folders_inside_are_classes(tmp_path):
    for name, inner in (("cat", ("left", "right")), ("dog", ("old", "new"))):
        write_pictures(tmp_path / name, inner)
    assert folder(tmp_path).spec.target.classes == ["cat", "dog"]


def test_a_class_whose_name_is_no_text_is_named(tmp_path):
    write_pictures(tmp_path)
    try:
        (tmp_path / "cat").rename(os.fsdecode(os.fsencode(tmp_path) + b"/c\xff"))
    except OSError:
        pytest.skip("this file system has names of UTF-8 alone")
    with pytest.raises(UserError, match=r"'c\\+udcff' is no UTF-8"):
        folder(tmp_path)


def test_links_are_followed_once(tmp_path):
    root, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    write_pictures(root)
    write_pictures(elsewhere, ("more",), 5)
    for link, target in (("cat/more", elsewhere / "more"), ("cat/up", root), ("dog/self", root / "dog")):
        (root / link).symlink_to(target)
    (root / "cat" / "loop").symlink_to("loop")
    (root / "loop").symlink_to("loop")
    data = folder(root)
    assert sum(sizes(data)) == 24 + 5
    names = [*data.train.names, *data.val.names, *data.test.names]
    assert len({name for name in names if name.startswith("cat/more/")}) == 5


def test_thumbnails_are_left_out_and_said(tmp_path):
    write_pictures(tmp_path)
    write_pictures(tmp_path, ("thumb",))  # a class of its own
    for number, name in enumerate(("thumbnails/0.png", "Thumbs/1.png", "_thumb/2.png", "3_thumb.png", "thumb-4.png")):
        copy = tmp_path / "cat" / name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(tmp_path / "dog" / f"{number}.png", copy)
    shutil.copy(tmp_path / "dog" / "5.png", tmp_path / "cat" / "my_thumb.png")  # of nothing
    data = folder(tmp_path)
    assert sum(sizes(data)) == 36 + 1
    assert data.spec.target.classes == ["cat", "dog", "thumb"]
    assert "left out 5 thumbnails: cat/3_thumb.png, cat/Thumbs/1.png, ..." in data.notes


@pytest.mark.parametrize("other", ["cat", "dog"])
def test_copies_of_an_image_stay_in_one_split(tmp_path, other):
    write_pictures(tmp_path)
    for number in range(12):
        image = Image.open(tmp_path / "cat" / f"{number}.png")
        image.save(tmp_path / other / f"copy{number}.bmp")
    data = folder(tmp_path)
    split_of = {name: number for number, part in enumerate((data.train, data.val, data.test)) for name in part.names}
    assert len(split_of) == 36
    assert all(split_of[f"cat/{n}.png"] == split_of[f"{other}/copy{n}.bmp"] for n in range(12))
    assert any("more than one label" in note for note in data.notes) == (other == "dog")


def test_few_different_images_are_cut_and_said(tmp_path):
    for name, value in (("cat", 0), ("dog", 255)):
        (tmp_path / name).mkdir()
        for number in range(12):
            Image.new("L", (8, 8), value).save(tmp_path / name / f"{number}.png")
    data = folder(tmp_path)
    assert sizes(data) == [17, 2, 5]
    assert any("of 24 examples 2 differ" in note for note in data.notes)


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

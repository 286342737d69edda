"""The user's own pictures: folders and tables, whole and broken."""

import io
import shutil

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image

from mla_train.errors import UserError
from mla_train.training.build import build_data
from tests.helpers import config, write_pictures


def read(*words):
    data = build_data(config(*words))
    data.setup()
    return data


def folder(root, *words):
    return read("data=image_folder", f"data.root={root}", *words)


def table(root, *words):
    return read("data=image_table", f"data.root={root}", *words)


def png(value, size=(6, 6)):
    stream = io.BytesIO()
    Image.new("RGB", size, (value, value, value)).save(stream, "png")
    return stream.getvalue()


def write_table(path, values, labels, **columns):
    cells = [{"bytes": png(v) if isinstance(v, int) else v, "path": None} for v in values]
    Dataset.from_dict({"img": cells, "label": labels, **columns}).to_parquet(str(path))


def test_class_folders_are_cut_in_three_stratified_and_said_so(tmp_path):
    write_pictures(tmp_path, ("cat", "dog", "owl"), 20)
    data = folder(tmp_path)
    assert [len(part) for part in (data.train, data.val, data.test)] == [43, 5, 12]
    assert data.facts.classes == ["cat", "dog", "owl"]
    assert torch.bincount(data.test.labels).tolist() == [4, 4, 4]
    assert [note.split(":")[0] for note in data.notes] == ["no test part is given", "no val part is given"]
    assert "stratified" in data.notes[0]
    sources = [*data.train.sources, *data.val.sources, *data.test.sources]
    assert len(set(sources)) == 60
    assert data.test.sources[0].startswith("cat/")


def test_given_parts_are_kept_and_pixels_stay_what_they_are(tmp_path):
    for part, count in (("train", 8), ("valid", 3), ("test", 4)):
        write_pictures(tmp_path / part, count=count, size=(10, 7))
    data = folder(tmp_path, "regularization=none")
    assert [len(part) for part in (data.train, data.val, data.test)] == [16, 6, 8]
    assert not data.notes
    assert (data.facts.channels, data.facts.height, data.facts.width) == (3, 7, 10)
    for i, source in enumerate(data.test.sources):
        pixels = torch.from_numpy(np.asarray(Image.open(tmp_path / source)).copy()).permute(2, 0, 1)
        assert torch.equal(data.test.images[i], pixels)
        assert data.facts.classes[data.test.labels[i]] == source.split("/")[1]


def test_any_size_and_colour(tmp_path):
    write_pictures(tmp_path / "mixed", ("a",), 12, (30, 20))
    write_pictures(tmp_path / "grey", ("a",), 12, (30, 20), colour=False)
    for root in ("mixed", "grey"):
        write_pictures(tmp_path / root / "more", ("b",), 12, (20, 50), colour=False)
        shutil.move(tmp_path / root / "more" / "b", tmp_path / root / "b")
        (tmp_path / root / "more").rmdir()
    colour, grey = folder(tmp_path / "mixed"), folder(tmp_path / "grey", "data.image_size=24")
    assert tuple(colour.train.images.shape[1:]) == (3, 64, 64)
    assert "20 x 50, 30 x 20 are cut to their middle and brought to 64 x 64" in colour.notes[0]
    assert tuple(grey.train.images.shape[1:]) == (1, 24, 24)


def test_more_bits_and_transparency_keep_their_content(tmp_path):
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    see_through = np.zeros((8, 8, 4), dtype=np.uint8)
    see_through[2:6, 2:6, 3] = 255  # a black square on nothing
    for number in range(12):
        for name, picture in {
            "float": Image.fromarray(ramp),
            "sixteen": Image.fromarray((ramp * 65535).astype(np.uint16)),
            "clear": Image.fromarray(see_through, "RGBA"),
        }.items():
            (tmp_path / name).mkdir(exist_ok=True)
            picture.save(tmp_path / name / f"{number}.{'tif' if name == 'float' else 'png'}")
    data = folder(tmp_path, "regularization=none", "data.channels=1")
    pictures = {
        data.facts.classes[label]: image for label, image in zip(data.test.labels, data.test.images, strict=True)
    }
    expected = torch.from_numpy(ramp * 255)
    for name in ("float", "sixteen"):
        assert (pictures[name][0].float() - expected).abs().max() <= 1
    assert pictures["clear"][0, 0, 0] == 255
    assert pictures["clear"][0, 3, 3] == 0


def test_broken_pictures_are_named_and_counted(tmp_path):
    write_pictures(tmp_path)
    (tmp_path / "cat" / "3.png").write_bytes(b"not a picture")
    whole = (tmp_path / "dog" / "4.png").read_bytes()
    (tmp_path / "dog" / "4.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        UserError, match=r"2 of 24 pictures cannot be read: cat/3\.png, dog/4\.png.*data\.on_error=skip"
    ):
        folder(tmp_path)
    data = folder(tmp_path, "data.on_error=skip")
    assert "2 of 24 pictures" in data.notes[0]
    assert "left out" in data.notes[0]
    assert sum(len(part) for part in (data.train, data.val, data.test)) == 22


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda root: None, "there is no such folder"),
        (lambda root: root.mkdir(), "holds no pictures in class folders"),
        (lambda root: write_pictures(root, ("cat",)), r"a single class \(cat\)"),
        (lambda root: write_pictures(root / "test"), "has test but no train folder"),
        (lambda root: write_pictures(root, count=1), "class number 0 has 1"),
    ],
)
def test_bad_folders_are_explained(build, message, tmp_path):
    build(tmp_path / "pictures")
    with pytest.raises(UserError, match=message):
        folder(tmp_path / "pictures")


def test_a_class_that_train_lacks_is_named(tmp_path):
    write_pictures(tmp_path / "train")
    write_pictures(tmp_path / "test", ("cat", "wolf"))
    with pytest.raises(UserError, match=r"class wolf is in test but has no picture"):
        folder(tmp_path)


def test_no_root_is_asked_for():
    with pytest.raises(UserError, match=r"data.root=FOLDER"):
        read("data=image_folder")
    with pytest.raises(UserError, match=r"data.root=FILE_OR_FOLDER"):
        read("data=image_table")


def test_tables_have_labels_of_any_kind(tmp_path):
    write_table(tmp_path / "train.parquet", [10, 20, 200, 210] * 6, ["dark", "dark", "light", "light"] * 6)
    write_table(tmp_path / "test.parquet", [15, 205], ["dark", "light"])
    data = table(tmp_path, "data.val_share=0.25")
    assert data.facts.classes == ["dark", "light"]
    assert [len(part) for part in (data.train, data.val, data.test)] == [18, 6, 2]
    assert data.test.images.float().mean((1, 2, 3)).tolist() == [15, 205]
    single = table(tmp_path / "train.parquet", "data.val_share=0.25", "data.test_share=0.25")
    assert len(single.train) + len(single.val) + len(single.test) == 24


def test_missing_columns_are_answered_with_those_that_exist(tmp_path):
    write_table(tmp_path / "train.parquet", [10, 200] * 9, [0, 1] * 9, note=["x"] * 18)
    with pytest.raises(UserError, match=r"no column picture \(data.image_column\); there are img, label, note"):
        table(tmp_path, "data.image_column=picture")
    with pytest.raises(UserError, match=r"no column kind .*there are img, label, note"):
        table(tmp_path, "data.label_column=kind")
    Dataset.from_dict({"a": [1], "b": [2]}).to_parquet(str(tmp_path / "train.parquet"))
    with pytest.raises(UserError, match=r"data.image_column=; there are a, b"):
        table(tmp_path)


def test_bad_tables_are_explained(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        table(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no train.parquet"):
        table(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"not parquet")
    with pytest.raises(UserError, match="cannot read"):
        table(tmp_path)
    write_table(tmp_path / "train.parquet", [10, b"broken"] * 9, [0, 1] * 9)
    with pytest.raises(UserError, match="9 of 18 pictures cannot be read: train row 1"):
        table(tmp_path)
    write_table(tmp_path / "train.parquet", [10, 200] * 9, [0, 1] * 9)
    write_table(tmp_path / "test.parquet", [10, 200], [0, 7])
    with pytest.raises(UserError, match="test has label 7, which train lacks"):
        table(tmp_path)


def test_sets_that_are_not_there_are_not_fetched(tmp_path):
    with pytest.raises(UserError, match=r"data\.download=true"):
        read("data=cifar10", f"data.root={tmp_path}")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="Did you mean FashionMNIST"):
        read("data=mnist", "data.dataset=FashionMnist")


@pytest.mark.shared_data
def test_fashion_mnist_from_a_folder(shared_data):
    data = read("data=fashion_mnist", f"data.root={shared_data / 'image'}")
    assert [len(part) for part in (data.train, data.val, data.test)] == [54_000, 6_000, 10_000]
    assert (data.facts.channels, data.facts.height) == (1, 28)
    assert data.facts.mean == pytest.approx([72.9], abs=0.5)


@pytest.mark.shared_data
def test_cifar_from_parquet(shared_data):
    data = read("data=image_table", f"data.root={shared_data / 'image' / 'cifar10_20k'}")
    assert [len(part) for part in (data.train, data.val, data.test)] == [18_000, 2_000, 10_000]
    assert "airplane" in data.facts.classes or data.facts.classes == [str(i) for i in range(10)]
    assert (data.facts.channels, data.facts.height) == (3, 32)

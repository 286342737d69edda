"""Data sets of images: digits, folders and tables of one's own, those that torchvision knows."""

import io

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image

from mla_train.errors import UserError
from tests.helpers import load, write_pictures


def folder(root, *words):
    return load("data=image_folder", f"data.root={root}", *words)


def table(root, *words):
    return load("data=image_table", f"data.root={root}", *words)


def png(value, size=(6, 6)):
    stream = io.BytesIO()
    Image.new("RGB", size, (value, value, value)).save(stream, "png")
    return stream.getvalue()


def write_table(path, values, labels, **columns):
    cells = [{"bytes": png(v) if isinstance(v, int) else v, "path": None} for v in values]
    Dataset.from_dict({"img": cells, "label": labels, **columns}).to_parquet(str(path))


def test_digits_are_split_70_10_20():
    data = load()
    assert [len(part) for part in (data.train, data.val, data.test)] == [1258, 180, 359]
    assert data.train.columns["image"].images.max() == 255
    assert data.spec.target.classes == [str(digit) for digit in range(10)]


def test_splits_do_not_follow_the_seed():
    images = [load(word).test.columns["image"].images for word in ("seed=0", "seed=1", "data.split_seed=1")]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


def test_class_folders_are_cut_in_three_stratified_and_said_so(tmp_path):
    write_pictures(tmp_path, ("cat", "dog", "owl"), 20)
    data = folder(tmp_path)
    assert [len(part) for part in (data.train, data.val, data.test)] == [43, 5, 12]
    assert data.spec.target.classes == ["cat", "dog", "owl"]
    assert np.bincount(data.test.targets).tolist() == [4, 4, 4]
    assert [note.split(":")[0] for note in data.notes] == ["no test split is given", "no val split is given"]
    names = [*data.train.names, *data.val.names, *data.test.names]
    assert len(set(names)) == 60
    assert data.test.names[0].startswith("cat/")


def test_given_splits_are_kept_and_pixels_stay_what_they_are(tmp_path):
    for part, count in (("train", 8), ("valid", 3), ("test", 4)):
        write_pictures(tmp_path / part, count=count, size=(10, 7))
    data = folder(tmp_path)
    assert [len(part) for part in (data.train, data.val, data.test)] == [16, 6, 8]
    assert not data.notes
    for i, name in enumerate(data.test.names):
        pixels = torch.from_numpy(np.asarray(Image.open(tmp_path / name)).copy()).permute(2, 0, 1)
        assert torch.equal(data.test.columns["image"].images[i], pixels)
        assert data.spec.target.classes[data.test.targets[i]] == name.split("/")[1]


def test_broken_images_are_named_and_counted(tmp_path):
    write_pictures(tmp_path)
    (tmp_path / "cat" / "3.png").write_bytes(b"not an image")
    whole = (tmp_path / "dog" / "4.png").read_bytes()
    (tmp_path / "dog" / "4.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"2 of 24 .*cat/3\.png, dog/4\.png.*data\.on_error=skip"):
        folder(tmp_path)
    data = folder(tmp_path, "data.on_error=skip")
    assert "2 of 24" in data.notes[0]
    assert "left out" in data.notes[0]
    assert sum(len(part) for part in (data.train, data.val, data.test)) == 22


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "there is no such folder"),
        (lambda root: root.mkdir(), "holds no images in class folders"),
        (lambda root: write_pictures(root, ("cat",)), r"a single class \(cat\)"),
        (lambda root: write_pictures(root / "test"), "has test but no train folder"),
        (lambda root: write_pictures(root, count=1), "cannot cut .*class cat has 1"),
    ],
)
def test_bad_folders_are_explained(make, message, tmp_path):
    make(tmp_path / "images")
    with pytest.raises(UserError, match=message):
        folder(tmp_path / "images")


def test_a_class_that_train_lacks_is_named(tmp_path):
    write_pictures(tmp_path / "train")
    write_pictures(tmp_path / "test", ("cat", "wolf"))
    with pytest.raises(UserError, match="class wolf is in test but has no image"):
        folder(tmp_path)


def test_no_root_is_asked_for():
    for data in ("image_folder", "image_table"):
        with pytest.raises(UserError, match=r"data\.root=FOLDER"):
            load(f"data={data}")


def test_tables_hold_images_as_bytes(tmp_path):
    write_table(tmp_path / "train.parquet", [*range(10, 22), *range(200, 212)], ["dark"] * 12 + ["light"] * 12)
    write_table(tmp_path / "test.parquet", [15, 205], ["dark", "light"])
    data = table(tmp_path, "data.val_share=0.25")
    assert data.spec.target.classes == ["dark", "light"]
    assert [len(part) for part in (data.train, data.val, data.test)] == [18, 6, 2]
    assert data.test.columns["image"].images.float().mean((1, 2, 3)).tolist() == [15, 205]
    single = table(tmp_path / "train.parquet", "data.val_share=0.25", "data.test_share=0.25")
    assert sum(len(part) for part in (single.train, single.val, single.test)) == 24


def test_bad_tables_are_explained(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        table(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no train file"):
        table(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"not parquet")
    with pytest.raises(UserError, match="cannot be read"):
        table(tmp_path)
    write_table(tmp_path / "train.parquet", [10, b"broken"] * 9, [0, 1] * 9)
    with pytest.raises(UserError, match=r"9 of 18 .*train\.parquet row 2"):
        table(tmp_path)
    write_table(tmp_path / "train.parquet", [10, 200] * 9, [0, 1] * 9)
    write_table(tmp_path / "test.parquet", [10, 200], [0, 7])
    with pytest.raises(UserError, match="test has label 7, which train lacks"):
        table(tmp_path)


def test_sets_that_are_not_there_are_not_fetched(tmp_path):
    with pytest.raises(UserError, match=r"data\.download=true"):
        load("data=cifar10", f"data.root={tmp_path}")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="Did you mean FashionMNIST"):
        load("data=mnist", "data.dataset=FashionMnist")


@pytest.mark.shared_data
def test_fashion_mnist_from_a_folder(shared_data):
    data = load("data=fashion_mnist", f"data.root={shared_data / 'image'}")
    assert [len(part) for part in (data.train, data.val, data.test)] == [54_000, 6_000, 10_000]
    spec = data.spec.inputs["image"].spec
    assert (spec.channels, spec.height) == (1, 28)
    assert spec.mean == pytest.approx([72.9], abs=0.5)
    assert data.spec.target.classes[0] == "T-shirt/top"


@pytest.mark.shared_data
def test_cifar_from_parquet(shared_data):
    data = load("data=image_table", f"data.root={shared_data / 'image' / 'cifar10_20k'}")
    assert [len(part) for part in (data.train, data.val, data.test)] == [18_000, 2_000, 10_000]
    assert "airplane" in data.spec.target.classes or data.spec.target.classes == [str(i) for i in range(10)]
    spec = data.spec.inputs["image"].spec
    assert (spec.channels, spec.height) == (3, 32)


def medmnist(tmp_path, **arrays):
    file = tmp_path / "made.npz"
    np.savez(file, **arrays)
    return load("data=medmnist", f"data.path={file}")


def arrays(colours=(), labels=1, splits=("train", "val", "test")):
    chance = np.random.default_rng(0)
    return {
        f"{split}_{name}": value
        for split in splits
        for name, value in {
            "images": chance.integers(0, 256, (20, 28, 28, *colours), dtype=np.uint8),
            "labels": chance.integers(0, 2, (20, labels)).astype(np.uint8),
        }.items()
    }


@pytest.mark.parametrize(("colours", "channels"), [((), 1), ((3,), 3)])
def test_one_file_of_all_splits_is_read(colours, channels, tmp_path):
    content = arrays(colours)
    data = medmnist(tmp_path, **content)
    assert data.spec.target.classes == ["0", "1"]
    assert data.test.targets.tolist() == content["test_labels"][:, 0].tolist()
    image = content["test_images"][3]
    expected = image[None] if not colours else image.transpose(2, 0, 1)
    assert np.array_equal(data.test.columns["image"].images[3].numpy(), expected)
    assert data.spec.inputs["image"].spec.channels == channels


def test_columns_of_labels_are_several_labels(tmp_path):
    content = arrays(labels=3, splits=["train"])
    data = medmnist(tmp_path, **content)
    assert data.spec.head.kind == "multilabel"
    assert (data.count("train"), data.count("val"), data.count("test")) == (14, 2, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no train_images"),
        (arrays(splits=["test"]), "no train_images; there are test_images, test_labels"),
        ({"train_images": np.zeros((4, 8, 8, 8), np.uint8)}, r"shape \(4, 8, 8, 8\)"),
        ({"train_images": np.zeros((4, 8, 8))}, "holds float64"),
        ({"train_images": np.zeros((4, 8, 8), np.uint8)}, "train_labels needs a label for each of the 4"),
    ],
)
def test_other_arrays_are_refused(content, message, tmp_path):
    with pytest.raises(UserError, match=message):
        medmnist(tmp_path, **content)

"""Images: sizes, colours, bits, broken files, batches, augmentation, tokens."""

import io
import os

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from mla_train.config import Augmentation
from mla_train.errors import UserError
from mla_train.modalities import Image
from mla_train.modalities.image import ImageSpec, decode
from mla_train.modalities.image.augment import build_mixing, build_transform
from tests.helpers import SMALL, build, config


def png(value=100, size=(6, 6), mode="RGB"):
    stream = io.BytesIO()
    Picture.new(mode, size, value if mode == "L" else (value,) * 3).save(stream, "png")
    return stream.getvalue()


def load(values, *words, notes=None):
    options = config("data=image_folder", *words).data
    names = [f"row {i}" for i in range(len(values))]
    return Image.load(values, names, options, [] if notes is None else notes)


def test_pixels_of_one_size_stay_what_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (7, 10, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Picture.fromarray(pixels).save(stream, "png")
    notes = []
    column = load([stream.getvalue()], notes=notes)
    assert torch.equal(column[0], torch.from_numpy(pixels).permute(2, 0, 1))
    assert not notes


def test_grey_stays_grey_and_one_in_colour_makes_all_colour():
    assert load([png(mode="L"), png(mode="L")]).images.shape == (2, 1, 6, 6)
    assert load([png(mode="L"), png()]).images.shape == (2, 3, 6, 6)
    assert load([png()], "data.channels=1").images.shape == (1, 1, 6, 6)


def test_other_sizes_are_resized_and_said():
    notes = []
    assert load([png(size=(30, 20)), png(size=(20, 50))], notes=notes).images.shape == (2, 3, 64, 64)
    (note,) = notes
    assert all(part in note for part in ("20 x 50, 30 x 20", "64 x 64", "data.image_size"))
    assert load([png(size=(30, 20))], "data.image_size=24").images.shape == (1, 3, 24, 24)
    assert load([png(size=(300, 300))]).images.shape == (1, 3, 64, 64)


def test_what_cannot_be_read_is_broken_and_what_is_empty_is_missing(tmp_path):
    (tmp_path / "half.png").write_bytes(png(size=(40, 40))[:60])
    os.mkfifo(tmp_path / "pipe.png")
    values = [
        png(),
        b"no image",
        tmp_path / "half.png",
        tmp_path / "none.png",
        tmp_path,
        tmp_path / "pipe.png",
        None,
        "",
    ]
    column = load(values)
    assert list(column.broken) == [1, 2, 3, 4, 5]
    assert column.missing.tolist() == [False] + [True] * 7
    assert column[7] is None
    files = [value for value in values if not isinstance(value, bytes)]
    (tmp_path / "a.png").write_bytes(png())
    column = load([tmp_path / "a.png", *files])
    assert list(column.broken) == [1, 2, 3, 4]
    assert column.keys()[0] == tmp_path / "a.png"
    assert load(values).keys() is None
    faults = zip(("damaged", *["no such file"] * 3), column.broken.values(), strict=True)
    assert all(word in fault for word, fault in faults)


def test_copies_of_an_image_are_equal_whatever_their_names_and_formats(tmp_path):
    image = Picture.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    files = [tmp_path / name for name in ("a.png", "b.png", "c.bmp", "d.tif", "e.png")]
    for file in files[:4]:
        image.save(file)
    Picture.new("RGB", (4, 4)).save(files[4])
    column = load([*files, None, tmp_path / "nowhere.png", files[0].read_bytes()])
    keys = column.contents()
    assert len(set(keys[:4])) == 1
    assert keys[7] == keys[0] != keys[4]
    assert keys[5] is keys[6] is None


def test_no_image_at_all_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"row 0.*no such file .*none\.png\)\. Check the paths$"):
        load([tmp_path / "none.png"])
    with pytest.raises(UserError, match=r"row 0.*data\.modalities"):
        Image.load([tmp_path / "none.png"], ["row 0"], config("task=multimodal_sentiment").data, [])
    with pytest.raises(UserError, match="all are empty"):
        load([None, ""])


def test_files_are_decoded_once_and_again_when_they_change(tmp_path, monkeypatch):
    monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "a.png"
    file.write_bytes(png(50))
    first = load([file]).images
    with monkeypatch.context() as patch:
        patch.setattr(decode, "to_array", None)
        assert torch.equal(load([file]).images, first)
        file.write_bytes(png(250))
        with pytest.raises(TypeError):
            load([file])
    assert load([file]).images[0, 0, 0, 0] == 250


def test_a_file_of_several_examples_is_decoded_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path / "cache"))
    files = [tmp_path / f"{value}.png" for value in (50, 250)]
    for file in files:
        file.write_bytes(png(int(file.stem)))
    read, to_array = [], decode.to_array
    monkeypatch.setattr(decode, "to_array", lambda *values: read.append(None) or to_array(*values))
    nowhere = tmp_path / "none.png"
    column = load([files[1], files[0], None, files[1], nowhere, files[0], None, nowhere])
    assert len(read) == 2
    assert column.images[:, 0, 0, 0].tolist() == [250, 50, 0, 250, 0, 50, 0, 0]
    assert column.missing.tolist() == [False, False, True, False, True, False, True, True]
    assert list(column.broken) == [4, 7]


def test_training_and_prediction_read_images_alike(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(png(30, size=(30, 20)))
    column = load([file, png(200, size=(8, 12))], "data.image_size=16")
    modality = Image.fit(column, None)
    again = modality.preprocess([str(file), png(200, size=(8, 12)), column.images[0], column.images[1].numpy(), None])
    assert torch.equal(again.images[:2], column.images)
    assert torch.equal(again.images[2:4], column.images)
    assert again[4] is None
    spec = modality.spec
    assert (spec.channels, spec.height, spec.width) == (3, 16, 16)
    np.testing.assert_allclose(spec.mean, column.images.float().mean((0, 2, 3)))
    batch = modality.collate([again[3], again[4]])
    assert batch.images.dtype == torch.uint8
    assert batch.padding.tolist() == [[False], [True]]
    assert not batch.images[1].any()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((1, 4, 4), np.uint8), r"shape \(1, 4, 4\).*\(3, 6, 6\)"),
        (np.random.default_rng(0).random((3, 6, 6)), "0 to 255"),
        (np.full((3, 6, 6), 300), "0 to 255"),
        (np.full((3, 6, 6), -1), "0 to 255"),
        ("nowhere.png", "no such file"),
        (b"no image", "cannot be read"),
        (7, "cannot be read"),
    ],
)
def test_values_that_the_model_does_not_read_are_refused(value, message):
    modality = Image(ImageSpec(3, 6, 6, [0.0] * 3, [1.0] * 3))
    with pytest.raises(UserError, match=message):
        modality.preprocess([value])
    assert modality.preprocess([np.full((3, 6, 6), 255)]).images.max() == 255
    assert modality.preprocess([np.full((3, 6, 6), 7.0)]).images.max() == 7


def test_augmentation_grows_with_its_level_and_follows_the_seed():
    image = torch.arange(64, dtype=torch.uint8).view(1, 8, 8)
    assert build_transform(Augmentation.none, (8, 8), True) is None
    for level in (Augmentation.light, Augmentation.strong):
        transform = build_transform(level, (8, 8), True)
        varied = []
        for seed in range(20):
            torch.manual_seed(seed)
            varied.append(transform(image))
            torch.manual_seed(seed)
            assert torch.equal(transform(image), varied[-1])
            assert varied[-1].shape == image.shape
        assert len({tuple(v.flatten().tolist()) for v in varied}) > 5


def test_images_are_not_mirrored_where_that_changes_the_class():
    image = torch.zeros(1, 8, 8, dtype=torch.uint8)
    image[:, :, :2] = 255
    transform = build_transform(Augmentation.light, (8, 8), False)
    for seed in range(20):
        torch.manual_seed(seed)
        assert transform(image)[0, :, 4:].max() == 0


def test_mixing_keeps_labels_a_distribution():
    assert build_mixing(Augmentation.light, 3) is None
    mixing = build_mixing(Augmentation.strong, 3)
    seen = set()
    for seed in range(30):
        torch.manual_seed(seed)
        images, labels = mixing(torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 1]))
        assert images.shape == (4, 1, 8, 8)
        torch.testing.assert_close(labels.sum(1), torch.ones(4))
        seen.add(bool((labels.max(1).values == 1).all()))
    assert seen == {True, False}


@pytest.mark.parametrize("tokenizer", ["conv", "patch"])
def test_tokens_of_each_cell(tokenizer):
    modality = Image(ImageSpec(3, 16, 24, [100.0] * 3, [50.0] * 3))
    embedding = modality.embedding(config(*SMALL, f"task.tokenizer={tokenizer}", "task.downsample_log2=2")).eval()
    batch = modality.collate([torch.randint(0, 256, (3, 16, 24), dtype=torch.uint8), None])
    features = embedding(batch)
    assert features.tokens.shape == (2, 4 * 6, 16)
    assert features.side.shape == (2, embedding.side_dim) == (2, 128)
    assert features.side[0].any()
    assert not features.side[1].any()
    assert features.positions.tolist() == [[row, column] for row in range(4) for column in range(6)]
    assert features.padding.tolist() == [[False] * 24, [True] * 24]
    assert embedding.count_tokens(batch) == 24
    target = embedding.reconstruction_target(batch)
    assert target.known[0].all()
    assert not target.known[1].any()
    cell = (batch.images[0, :, 4:8, 20:24].float() - 100) / 50
    torch.testing.assert_close(target.values[0, 6 + 5].sort().values, cell.flatten().sort().values)


def test_too_many_halvings_are_refused():
    with pytest.raises(UserError, match=r"task\.downsample_log2=5.*20 x 20.*null"):
        build(*SMALL, "task.downsample_log2=5")

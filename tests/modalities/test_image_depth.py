"""Pictures as people have them: turned, transparent, of more than 8 bits, too large, no pictures at all."""

import io
import struct
import zlib
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from mla_train.errors import UserError
from mla_train.inference.export.runtime.infer_onnx import read_image
from mla_train.modalities import Image
from mla_train.modalities.image import ImageSpec
from tests.helpers import config

RAMP = np.arange(16).reshape(4, 4)
BOMB = b"P5 20000 10001 255\n"


def load(values, *words, notes=None):
    names = [f"picture {i}" for i in range(len(values))]
    return Image.load(values, names, config("data=image_folder", *words).data, [] if notes is None else notes)


def save(file, values, **options):
    Picture.fromarray(values).save(file, **options)
    return file


def exported(modality, file):
    """What the program beside an exported model reads."""
    return torch.from_numpy(read_image(str(file), asdict(modality.spec)).copy())


@pytest.mark.parametrize(
    ("first", "second", "ending"),
    [
        (RAMP.astype(np.uint16) * 10, RAMP.astype(np.uint16) * 200 + 960, "png"),
        (RAMP.astype(np.int32) * 100 - 1000, RAMP.astype(np.int32) * 100 + 511, "tif"),
        (RAMP.astype(np.float32) / 20, RAMP.astype(np.float32) / 20 + 0.5, "tif"),
    ],
)
def test_more_bits_are_read_on_one_scale_for_all(tmp_path, first, second, ending):
    files = [save(tmp_path / f"{i}.{ending}", values) for i, values in enumerate((first, second))]
    notes = []
    column = load(files, notes=notes)
    (note,) = notes
    assert "one scale for all" in note
    modality = Image.fit(column, None)
    low, high = min(first.min(), second.min()), max(first.max(), second.max())
    assert modality.spec.value_range == pytest.approx([low, high])
    expected = np.rint((np.stack([first, second]) - low) * (255 / (high - low)))[:, None].astype(np.uint8)
    prepared = modality.prepare(column, notes)
    assert np.array_equal(prepared.images, expected)
    assert len(notes) == 1
    np.testing.assert_allclose(modality.spec.mean, expected.mean(), rtol=1e-5)
    assert torch.equal(modality.preprocess(files).images, prepared.images)
    assert torch.equal(modality.preprocess([prepared.raw(0), first[None]]).images, prepared.images[[0, 0]])
    assert torch.equal(torch.stack([exported(modality, file) for file in files]), prepared.images)


def test_the_scale_is_that_of_the_training_split_and_what_is_cut_is_said(tmp_path):
    files = [save(tmp_path / f"{i}.png", RAMP.astype(np.uint16) * factor) for i, factor in enumerate((100, 150))]
    column = load([*files, None])
    modality = Image.fit(column.select(np.array([0])), None)
    assert modality.spec.value_range == [0, 1500]
    notes = []
    images = modality.prepare(column, notes).images
    assert images[1].flatten().tolist() == np.rint(RAMP.flatten() * 150 * 0.17).clip(0, 255).tolist()
    assert not images[2].any()
    (note,) = notes
    assert "1 of 3 images" in note
    assert "0 to 1500" in note


def test_kinds_of_numbers_are_not_mixed(tmp_path):
    bytes_, wide = save(tmp_path / "a.png", RAMP.astype(np.uint8)), save(tmp_path / "b.png", RAMP.astype(np.uint16))
    decimal = save(tmp_path / "c.tif", RAMP.astype(np.float32))
    with pytest.raises(UserError, match=r"picture 2 .*8 bits.*picture 0 .*more than 8 bits.*one kind of numbers"):
        load([wide, wide, bytes_, bytes_])
    with pytest.raises(UserError, match=r"picture 1 .*decimal.*picture 0 .*whole.*one kind of numbers"):
        load([wide, decimal])
    for train, other in ((bytes_, wide), (wide, bytes_)):
        modality = Image.fit(load([train]), None)
        with pytest.raises(UserError, match=f"{other.name} has .*8 bits.*convert"):
            modality.preprocess([other])
        with pytest.raises(ValueError, match=f"{other.name} has .*8 bits"):
            exported(modality, other)


def deep(file, values, kind):
    """A png of 16 bits for each colour, or a tif or ppm, which Pillow does not write."""
    height, width, channels = values.shape
    if kind == "png":
        lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
        colours = {2: 4, 3: 2, 4: 6}[channels]
        head = struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, 0)
        pieces = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
        content = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in pieces
        )
    elif kind == "ppm":
        content = f"P6 {width} {height} 65535\n".encode() + values.astype(">u2").tobytes()
    else:
        tags = [(256, width), (257, height), (258, 16), (259, 1), (262, 2), (273, 8 + 2 + 9 * 12 + 4 + 6)]
        tags += [(277, 3), (278, height), (279, values.size * 2)]
        entries = b"".join(
            struct.pack("<HHII", tag, 3, 3, 8 + 2 + 9 * 12 + 4)
            if tag == 258
            else struct.pack("<HHII", tag, 4, 1, value)
            for tag, value in tags
        )
        bits = struct.pack("<HHH", 16, 16, 16)
        content = b"II*\0" + struct.pack("<IH", 8, 9) + entries + bytes(4) + bits + values.astype("<u2").tobytes()
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(("kind", "channels"), [("png", 3), ("png", 2), ("png", 4), ("tif", 3), ("ppm", 3)])
def test_colours_of_16_bits_are_read_by_their_upper_half_or_refused(tmp_path, kind, channels):
    values = np.full((4, 4, channels), 65535)
    values[..., 0] = RAMP * 4000
    plain = save(tmp_path / "plain.png", RAMP.astype(np.uint8))
    bright = deep(tmp_path / f"bright.{kind}", values, kind)
    notes = []
    column = load([plain, bright], notes=notes)
    np.testing.assert_allclose(column.images[1, 0], RAMP * 4000 / 256, atol=1.5)
    assert any("1 images have 16 bits for each colour" in note and "picture 1" in note for note in notes)
    values[..., : 1 if channels == 2 else 3] //= 16
    dark = deep(tmp_path / f"dark.{kind}", values, kind)
    with pytest.raises(UserError, match=r"picture 1 has 16 bits for each colour.*1[567] of 256 levels.*with 8 bits"):
        load([plain, dark])
    modality = Image.fit(column, None)
    with pytest.raises(UserError, match=rf"dark\.{kind} has 16 bits for each colour"):
        modality.preprocess([dark])
    with pytest.raises(ValueError, match=rf"dark\.{kind} has 16 bits for each colour"):
        exported(modality, dark)
    assert torch.equal(modality.preprocess([bright]).images[0], column.images[1])


def test_further_frames_are_said(tmp_path):
    first, second = (Picture.fromarray(RAMP.astype(np.uint8) + value) for value in (0, 9))
    files = [tmp_path / name for name in ("a.gif", "b.tif", "c.png", "d.webp")]
    for file in files:
        first.save(file, save_all=True, append_images=[second])
    notes = []
    load([save(tmp_path / "plain.png", RAMP.astype(np.uint8)), *files], notes=notes)
    assert notes == [
        "4 images have several frames or pages, of which the first is read: picture 1, picture 2, picture 3, picture 4"
    ]


def test_equal_values_and_numbers_that_are_not_finite(tmp_path):
    level = save(tmp_path / "a.tif", np.full((4, 4), 0.5, np.float32))
    hole = save(tmp_path / "b.tif", np.where(RAMP == 3, np.nan, 0.5).astype(np.float32))
    column = load([level, hole])
    assert list(column.broken.items()) == [(1, "a pixel is no finite number (NaN or infinite)")]
    assert Image.fit(column, None).spec.value_range == [0.5, 1.5]


def test_specs_of_older_models_are_read():
    spec = ImageSpec(**{"channels": 1, "height": 4, "width": 4, "mean": [1.0], "std": [1.0]})
    assert Image(spec).preprocess([RAMP[None].astype(np.uint8)]).images.flatten().tolist() == list(range(16))


def test_pictures_are_turned_upright_and_keep_their_common_size(tmp_path):
    pixels = np.arange(8, dtype=np.uint8).reshape(2, 4) * 30
    turn = Picture.Exif()
    turn[0x0112] = 6  # a quarter turn clockwise makes it upright
    files = [save(tmp_path / f"{i}.png", pixels, exif=turn) for i in range(2)]
    notes = []
    column = load(files, notes=notes)
    assert column.images[0, 0].tolist() == np.rot90(pixels, -1).tolist()
    assert not notes
    modality = Image.fit(column, None)
    assert torch.equal(exported(modality, files[0]), column.images[0])


def test_palette_transparency_and_printing_colours(tmp_path):
    clear = np.zeros((4, 4, 4), dtype=np.uint8)
    clear[1:3, 1:3, 3] = 255  # a black square on nothing
    Picture.fromarray(clear).save(tmp_path / "alpha.png")
    palette = Picture.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "palette.png")
    palette.save(tmp_path / "clear.png", transparency=1)
    Picture.new("CMYK", (4, 4), (255, 0, 0, 0)).save(tmp_path / "cmyk.tif")
    files = [tmp_path / name for name in ("alpha.png", "palette.png", "clear.png", "cmyk.tif")]
    column = load(files)
    assert [image[:, 0, 0].tolist() for image in column.images] == [[255] * 3, [10, 20, 30], [255] * 3, [0, 255, 255]]
    assert not column.images[0, :, 1:3, 1:3].any()
    modality = Image.fit(column, None)
    for file, image in zip(files, column.images, strict=True):
        assert torch.equal(exported(modality, file), image)


def test_other_programs_are_not_run_and_bombs_do_not_explode(tmp_path):
    (tmp_path / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    (tmp_path / "bomb.png").write_bytes(BOMB + bytes(100))
    good = save(tmp_path / "good.png", RAMP.astype(np.uint8))
    column = load([good, tmp_path / "script.png", tmp_path / "bomb.png"])
    assert list(column.broken) == [1, 2]
    modality = Image.fit(column, None)
    for name in ("script.png", "bomb.png"):
        with pytest.raises(UserError, match=f"{name} cannot be read"):
            modality.preprocess([tmp_path / name])
        with pytest.raises((ValueError, OSError)):
            exported(modality, tmp_path / name)


@pytest.mark.parametrize(
    ("fit", "row"),
    [("crop", [60, 60, 140, 140]), ("pad", [20, 60, 140, 180]), ("stretch", [20, 60, 140, 180])],
)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_other_shapes_are_cropped_padded_or_stretched(tmp_path, fit, row, kind):
    wide = np.repeat(np.array([[20, 20, 60, 60, 140, 140, 180, 180]], kind), 4, axis=0)
    stream = io.BytesIO()
    Picture.fromarray(wide).save(stream, "png")
    file = save(tmp_path / "a.png", wide)
    notes = []
    column = load([stream.getvalue()], f"data.fit={fit}", "data.image_size=4", notes=notes)
    assert "data.fit" in notes[0]
    values = column.images[0, 0]
    assert values[1:3].float().mean(0).tolist() == pytest.approx(row, abs=12)
    margin = {np.uint8: 0, np.uint16: 20}[kind]
    assert (values[0] == margin).all() == (fit == "pad")
    modality = Image.fit(column, config("data=image_folder", f"data.fit={fit}").data)
    assert torch.equal(modality.preprocess([file]).images, modality.prepare(column, []).images)
    assert torch.equal(exported(modality, file), modality.prepare(column, []).images[0])

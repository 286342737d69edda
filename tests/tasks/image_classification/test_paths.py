"""Paths of images in tables as people write them, and what is no path."""

import base64
import json

import pytest

from mla_train.errors import UserError
from tests.helpers import load, write_jsonl, write_pictures


def read(folder, written, *words):
    """A table of 24 images whose paths are written in some way."""
    write_pictures(folder / "images")
    rows = [{"image": written(f"images/{name}/{i}.png"), "label": name} for name in ("cat", "dog") for i in range(12)]
    return load("data=image_table", f"data.train={write_jsonl(folder / 'a.jsonl', rows)}", *words)


def count(data):
    return sum(len(part) for part in (data.train, data.val, data.test))


def about_paths(data):
    return [note for note in data.notes if "images" in note and "paths" in note]


@pytest.mark.parametrize(
    "written",
    [
        lambda path: path.replace("/", "\\"),
        lambda path: f" {path} ",
        lambda path: f'"{path}"',
        lambda path: path.removesuffix(".png"),
        lambda path: path.upper(),
        lambda path: " " + path.removesuffix(".png").title().replace("/", "\\"),
    ],
    ids=["backslashes", "blanks", "quotes", "no ending", "capitals", "all"],
)
def test_paths_that_are_written_otherwise_are_found_and_said(tmp_path, written):
    data = read(tmp_path, written)
    assert count(data) == 24
    (note,) = about_paths(data)
    assert "24 paths of images" in note
    assert "images/cat/0.png" in note
    images, names = data.test.columns["image"].images, data.test.names
    assert [bool(image.float().mean() > 120) for image in images] == ["dog" in name.lower() for name in names]


def test_paths_as_they_are_need_no_note(tmp_path):
    assert not about_paths(read(tmp_path, str))


def test_paths_are_relative_to_the_part_that_holds_them(tmp_path):
    for part, name in enumerate(("cat", "dog")):
        write_pictures(tmp_path / str(part), (name,))
        rows = [{"image": f"{name}/{i}.png", "label": name} for i in range(12)]
        write_jsonl(tmp_path / str(part) / "a.jsonl", rows)
    assert count(load("data=image_table", f"data.train=[{tmp_path}/0/a.jsonl,{tmp_path}/1/a.jsonl]")) == 24


def test_a_path_of_two_files_is_asked_about(tmp_path):
    write_pictures(tmp_path / "images", ("owl",))
    for ending in ("jpg", "bmp"):
        (tmp_path / "images" / "owl" / f"0.{ending}").write_bytes((tmp_path / "images" / "owl" / "0.png").read_bytes())
    file = write_jsonl(tmp_path / "a.jsonl", [{"image": "images/owl/0", "label": "a"}])
    with pytest.raises(
        UserError, match=r"line 1: the image images/owl/0 may be 0\.bmp or 0\.jpg or 0\.png: write the name"
    ):
        load("data=image_table", f"data.train={file}")


def test_files_that_are_not_there_are_said_to_be_so(tmp_path):
    with pytest.raises(UserError, match=r"no such file \(.*other/0\.png\)\. Check the paths$"):
        read(tmp_path, lambda path: path.replace("images/cat", "other").replace("images/dog", "other"))


@pytest.mark.parametrize("mark", ["", "data:image/png;base64,"])
def test_images_as_texts_are_decoded_and_not_shown(tmp_path, mark):
    def written(path):
        return mark + base64.b64encode((tmp_path / path).read_bytes()).decode()

    data = read(tmp_path, written)
    assert count(data) == 24
    assert any("24 images are texts" in note and "base64" in note for note in data.notes)
    assert all(len(name) < 200 for name in data.train.names)
    assert len(json.dumps(data.notes)) < 1000


def test_texts_that_are_no_images_are_shown_by_their_beginnings(tmp_path):
    with pytest.raises(UserError) as caught:
        read(tmp_path, lambda path: "iVBORw0KGgo" + "?" * 5000)
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    "address", ["https://example.org/a.png", "www.example.org/a.png", "//example.org/a.png", "s3://a/b"]
)
def test_addresses_are_refused(tmp_path, address):
    with pytest.raises(UserError, match=r"is an address.*relative to the table") as caught:
        read(tmp_path, lambda path: address)
    assert address in str(caught.value)

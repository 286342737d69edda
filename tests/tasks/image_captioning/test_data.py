"""The bundled icons; images with captions in tables and in the layouts of Flickr8k and COCO, good and bad."""

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mla_train.errors import UserError
from mla_train.heads.text_metrics import TextMetrics, word_f1
from tasks.image_captioning import icons
from tests.helpers import load, write_captions, write_coco, write_jsonl

FILES = ["task=image_captioning", "data=caption_files", "data.vocab_size=300", "data.cache=false"]


def read(*options):
    return load(*FILES, *options)


def captions_of(split):
    """The captions of each image that is scored, as sets."""
    return [{target.text, *target.others} for target in split.targets if target.others is not None]


def test_icons_that_share_their_first_word_are_in_one_split():
    if find_spec("qtawesome") is None:
        pytest.skip("the extra demo is not installed")
    data = load("task=image_captioning")
    splits = [data.train, data.val, data.test]
    sizes = [len(split) for split in splits]
    assert sum(sizes) == 16544
    assert [size / 16544 for size in sizes] == pytest.approx([0.7, 0.1, 0.2], abs=0.01)
    first = [{target.text.split()[0] for target in split.targets} for split in splits]
    assert sum(map(len, first)) == len(set.union(*first)) == 2057
    pixels = [{image.numpy().tobytes() for image in split.columns["image"].images} for split in splits]
    assert sum(map(len, pixels)) == len(set.union(*pixels))
    assert len(np.unique(data.test.groups)) <= len(first[2])  # of which intervals draw whole ones
    assert any("first words" in note for note in data.notes)
    images = data.test.columns["image"].images
    assert images.shape[1:] == (1, 32, 32)
    # Whole and in the middle: something reaches a side, and as much is left of the middle as right of it.
    assert float(images.flatten(1).amax(1).float().mean()) > 200
    assert images[..., :16].sum() == pytest.approx(int(images[..., 16:].sum()), rel=0.1)


def test_a_missing_package_or_font_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(icons, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"qtawesome, which is not installed: pip install 'qtawesome"):
        icons.find_fonts()
    origin = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(icons, "find_spec", lambda name: origin)
    with pytest.raises(UserError, match=r"no font codicon in .*fonts: pip install 'qtawesome"):
        icons.find_fonts()


def test_several_captions_of_an_image_are_its_references(tmp_path):
    """As rows, and as lists; equal images of other names are one image, and no image is in two splits."""
    write_captions(tmp_path, captions=3)
    copy = (tmp_path / "Images" / "0.png").read_bytes()
    (tmp_path / "Images" / "copy.png").write_bytes(copy)
    text = (tmp_path / "captions.txt").read_text()
    (tmp_path / "captions.txt").write_text(text + "copy.png,the same night\n")
    rows = read(f"data.root={tmp_path}")
    table = pd.read_csv(tmp_path / "captions.txt")
    lists = table.groupby("image", sort=False)["caption"].apply(list).reset_index()
    lists["image"] = "Images/" + lists["image"]
    listed = read(f"data.train={write_jsonl(tmp_path / 'lists.jsonl', lists.to_dict('records'))}")
    for data in (rows, listed):
        splits = [data.train, data.val, data.test]
        assert sum(map(len, splits)) == 91
        pixels = [{image.numpy().tobytes() for image in split.columns["image"].images} for split in splits]
        assert sum(map(len, pixels)) == len(set().union(*pixels)) == 30
        sizes = sorted(map(len, captions_of(data.val) + captions_of(data.test)))
        assert set(sizes) <= {3, 4}
        assert len(sizes) == sum(map(len, pixels[1:]))
    assert any("31 rows have a list as caption" in note for note in listed.notes)
    assert any("several targets" in note for note in rows.notes)
    assert any(f"images are read from {tmp_path / 'Images'}" in note for note in rows.notes)


def test_annotations_of_coco_are_read_by_their_folder_or_one_by_one(tmp_path):
    file = write_coco(tmp_path)
    whole = read(f"data.root={tmp_path}")
    assert len(whole.train) + len(whole.test) == 58 == len(whole.val)
    assert captions_of(whole.val)[3] == {"a cat on mat 3", "a cat on mat 32"}
    assert whole.val.names[3] == f"{tmp_path}/annotations/captions_val2017.json annotation 4 ({3:012}.jpg)"
    assert sum("left out 1 images without a caption" in note for note in whole.notes) == 2
    named = read(f"data.train={file}", f"data.test={file.with_name('captions_val2017.json')}")
    assert len(named.train) + len(named.val) == 58 == len(named.test)
    (tmp_path / "train2017").rename(tmp_path / "elsewhere")
    moved = read(f"data.train={file}", f"data.images={tmp_path / 'elsewhere'}")
    assert len(moved.train) + len(moved.val) + len(moved.test) == 58


def test_what_is_lacking_is_left_out_and_said(tmp_path):
    write_captions(tmp_path)
    with (tmp_path / "captions.txt").open("a") as stream:
        stream.write('1.png,\n,a caption of nothing\n0.png,"a dark night, seen once"\n')
    data = read(f"data.root={tmp_path}")
    assert sum(map(len, (data.train, data.val, data.test))) in (60, 61)  # the repeated pair stays in val and test
    assert "left out 1 examples of train without caption" in data.notes
    assert "left out 1 examples of train without image" in data.notes


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "image,text\n0.png,a dog\n", r"no column caption; there are image, text\. .*data\.target_column="),
        ("a.csv", "caption,x\na dog,1\n", r"no column image; there are caption, x\. .*data\.image_column="),
        ("a.csv", "image,caption\n../0.png,a dog\n", r"line 2: the image \.\./0\.png lies outside"),
        ("a.csv", "image,caption\nhttps://a.b/0.png,a dog\n", r"line 2: .* is an address on the web"),
        ("a.csv", "image,caption\n9.png,a dog\n", r"1 of 1 examples have image .*|no image can be read"),
        ("a.csv", "image,caption\n0.png,\"['a dog', 'a cat']\"\n", r"line 2: caption is a list that is written as text.*jsonl"),
        ("a.csv", "image,caption\n0.png,\n", r"no caption in column caption: .*data\.target_column="),
        ("captions_train.json", '{"images": [{"id": 1}], "annotations": []}', r"images need id and file_name, .*lacking: 'file_name'"),
        ("captions_train.json", '{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], "annotations": []}', r"id 1 is of several images, a and b"),
        ("captions_train.json", '{"images": [], "annotations": [{"image_id": 4, "caption": "a"}]}', r"annotation 1: no image has the id 4.*data\.on_error=skip"),
    ],
)  # fmt: skip
def test_bad_files_are_named_with_the_way_out(name, content, expected, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=expected):
        read(f"data.train={tmp_path / name}")


def test_a_folder_of_images_that_is_not_there_is_named(tmp_path):
    write_captions(tmp_path)
    with pytest.raises(UserError, match=r"data\.images=.*gone: there is no such folder"):
        read(f"data.root={tmp_path}", f"data.images={tmp_path / 'gone'}")


@pytest.mark.parametrize("option", ["flatten_dim=64", "visual_words=32"])
def test_a_path_that_captions_are_not_written_from_is_refused(option):
    with pytest.raises(UserError, match=rf"task\.{option}: .*leave it out"):
        load("task=image_captioning", f"task.{option}")


def test_scores_of_words_are_those_of_the_best_reference():
    texts = ["A dog on the mat.", "on mat dog", "a cat", "", "a a b"]
    references = ["the dog on a mat", "a dog on a mat", "a horse", "", "a b b"]
    others = [(), ("dog",), ("nothing", "a cat"), (), ()]
    assert word_f1(texts, references, others) == pytest.approx([1, 6 / 8, 1, 1, 4 / 6])
    assert word_f1(["don't stop"], ["Don't, 2"]).tolist() == [pytest.approx(4 / 6)]
    metrics, places = TextMetrics("en", False, ["word_f1", "bleu"]), [np.array([0, 1, 2]), np.array([1, 1, 4])]
    for drawn, row in zip(places, metrics.of_draws(texts, references, others, places), strict=True):
        rows = ([column[place] for place in drawn] for column in (texts, references, others))
        assert row == pytest.approx(metrics(*rows))

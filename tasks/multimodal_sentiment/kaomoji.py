"""Is the face glad or sad? Kaomoji of the package kaomoji-dataset (FontVibe, CC BY 4.0), as characters and as a picture."""

import gzip
import json
from importlib.util import find_spec
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from mla_train.data.cache import cached
from mla_train.data.splits import stratified_cut
from mla_train.data.texts import clean
from mla_train.errors import UserError
from tasks.multimodal_sentiment.columns import Images, MultimodalSplit, Texts, singles
from tasks.multimodal_sentiment.config import KaomojiDataConfig
from tasks.multimodal_sentiment.data import MultimodalData

# The first label of a face's emotion to what it feels like.
POLARITY = {
    "positive": ("happy", "cute", "love", "excited", "cool", "smug"),
    "neutral": ("surprised", "shy", "sleepy", "doubt", "indifferent", "confused", "drooling", "tired"),
    "negative": ("sad", "angry", "hurt", "rude", "scared", "disgusted", "dissatisfied", "crying", "embarrassed"),
}
WIDTH = 3  # of a picture, over its height


class KaomojiData(MultimodalData):
    """Faces that the font of matplotlib can draw, split 70/10/20, stratified; a face is in one part only."""

    def setup(self) -> None:
        """Reads the installed package's file, without importing it, and draws the faces.

        Raises:
            UserError: The package is not installed.
        """
        options = self.config.data
        assert isinstance(options, KaomojiDataConfig)
        spec = find_spec("kaomoji_dataset")
        if spec is None or spec.origin is None:
            raise UserError("data=kaomoji reads the faces of the package kaomoji-dataset; install it (extra: demo)")
        font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
        texts, labels = cached(read_faces)(Path(spec.origin).parent / "data" / "kaomoji.jsonl.gz", font)
        classes = list(POLARITY)
        whole = MultimodalSplit({}, labels, texts, singles(len(texts)))
        for modality in options.modalities:
            if modality == "text":
                whole.columns["text"] = Texts(texts)
            else:
                images = cached(draw_faces)(texts, font, options.height)
                whole.columns["image"] = Images(torch.from_numpy(images), np.zeros(len(texts), dtype=bool))
        rest, test = stratified_cut(labels, 0.2, options.split_seed, classes)
        train, val = stratified_cut(labels[rest], 0.125, options.split_seed, classes)
        parts = {"train": rest[train], "val": rest[val], "test": test}
        self.finish({part: whole.part(index) for part, index in parts.items()}, classes)


def read_faces(file: Path, font: Path) -> tuple[list[str], np.ndarray]:
    """Bare faces with an emotion that the font can draw; a face with two polarities is left out.

    Args:
        file: Of the package.
        font: TrueType.

    Returns:
        Faces and class numbers, `(faces,)`.
    """
    number = {emotion: i for i, emotions in enumerate(POLARITY.values()) for emotion in emotions}
    drawable = FT2Font(str(font)).get_charmap()
    found: dict[str, set[int]] = {}
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        for row in map(json.loads, stream):
            text = clean(row["text"])
            if row["tier"] != "core" or not row["emotion"] or row["emotion"][0] not in number:
                continue
            if all(ord(sign) in drawable or sign == " " for sign in text):
                found.setdefault(text, set()).add(number[row["emotion"][0]])
    kept = {text: labels.pop() for text, labels in found.items() if len(labels) == 1}
    return list(kept), np.array(list(kept.values()))


def draw_faces(texts: list[str], font: Path, height: int) -> np.ndarray:
    """Faces in white on black, as large as fits.

    Args:
        texts: Of one line each.
        font: TrueType.
        height: Of a picture in pixels.

    Returns:
        Bytes, `(faces, 1, height, 3 * height)`.
    """
    width = WIDTH * height
    sizes = [ImageFont.truetype(str(font), size) for size in range(height, 3, -1)]
    pictures = np.empty((len(texts), 1, height, width), dtype=np.uint8)
    for i, text in enumerate(texts):
        for face in sizes:
            left, top, right, bottom = face.getbbox(text)
            if right - left <= width and bottom - top <= height:
                break
        image = Image.new("L", (width, height), 0)
        place = (width - right - left) / 2, (height - bottom - top) / 2
        ImageDraw.Draw(image).text(place, text, fill=255, font=face)
        pictures[i, 0] = np.asarray(image)
    return pictures

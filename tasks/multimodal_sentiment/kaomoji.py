"""Bundled data: kaomoji of the package kaomoji-dataset (FontVibe, CC BY 4.0), as characters and as an image."""

import gzip
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

from mla_train.data.cache import cached
from mla_train.data.examples import Examples, RawData
from mla_train.data.glyphs import draw_text
from mla_train.errors import UserError
from mla_train.modalities.text import clean
from tasks.multimodal_sentiment.config import KaomojiConfig

# Sentiment of the first emotion of a face.
POLARITY = {
    "positive": ("happy", "cute", "love", "excited", "cool", "smug"),
    "neutral": ("surprised", "shy", "sleepy", "doubt", "indifferent", "confused", "drooling", "tired"),
    "negative": ("sad", "angry", "hurt", "rude", "scared", "disgusted", "dissatisfied", "crying", "embarrassed"),
}
WIDTH = 3  # width of an image over its height


def read_kaomoji(options: KaomojiConfig) -> RawData:
    """Faces that the font of matplotlib can draw; splits are cut stratified, a face is in one of them only."""
    spec = find_spec("kaomoji_dataset")  # its file is read, the package is not imported
    if spec is None or spec.origin is None:
        raise UserError("data=kaomoji reads the faces of the package kaomoji-dataset: pip install -e '.[demo]'")
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    texts, labels = cached(read_faces)(Path(spec.origin).parent / "data" / "kaomoji.jsonl.gz", font)
    inputs: dict[str, Any] = {}
    for name in options.modalities:
        inputs[name] = texts if name == "text" else torch.from_numpy(cached(draw_faces)(texts, font, options.height))
    return RawData({"train": Examples(inputs, labels, list(texts))}, classes=list(POLARITY))


def read_faces(file: Path, font: Path) -> tuple[list[str], np.ndarray]:
    """Bare faces with one polarity that a TrueType font can draw, and their class numbers, `(faces,)`."""
    number = {emotion: i for i, emotions in enumerate(POLARITY.values()) for emotion in emotions}
    drawable = FT2Font(str(font)).get_charmap()
    classes: dict[str, set[int]] = {}
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        for row in map(json.loads, stream):
            text = clean(row["text"])
            if row["tier"] != "core" or not row["emotion"] or row["emotion"][0] not in number:
                continue
            if all(ord(sign) in drawable or sign == " " for sign in text):
                classes.setdefault(text, set()).add(number[row["emotion"][0]])
    kept = {text: labels.pop() for text, labels in classes.items() if len(labels) == 1}
    return list(kept), np.array(list(kept.values()))


def draw_faces(texts: list[str], font: Path, height: int) -> np.ndarray:
    """Faces in white on black, as large as fits: bytes, `(faces, 1, height, 3 * height)`."""
    width = WIDTH * height
    sizes = [ImageFont.truetype(str(font), size) for size in range(height, 3, -1)]
    images = np.empty((len(texts), 1, height, width), dtype=np.uint8)
    for i, text in enumerate(texts):
        images[i, 0] = draw_text(text, sizes, width, height)
    return images

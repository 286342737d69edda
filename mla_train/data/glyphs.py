"""Texts drawn as small images."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def draw_text(text: str, faces: Sequence[ImageFont.FreeTypeFont], width: int, height: int) -> np.ndarray:
    """A text in white on black, in the middle and as large as fits: bytes, `(height, width)`.

    Args:
        text: What is drawn.
        faces: Sizes of a font, the largest first; the last is taken where none fits.
        width: Width in pixels.
        height: Height in pixels.
    """
    for face in faces:
        left, top, right, bottom = face.getbbox(text)
        if right - left <= width and bottom - top <= height:
            break
    image = Image.new("L", (width, height), 0)
    place = (width - right - left) / 2, (height - bottom - top) / 2
    ImageDraw.Draw(image).text(place, text, fill=255, font=face)
    return np.asarray(image)

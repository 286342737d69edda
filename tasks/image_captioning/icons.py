"""Bundled data: icons of the package qtawesome, drawn from its fonts, with their names as captions.

The package is MIT; its fonts are Codicons (CC BY 4.0), Elusive Icons and Font Awesome 6 (SIL OFL 1.1), Material Design Icons
and Remix Icon (Apache 2.0), Phosphor (MIT). Its files are read where they are installed; the package, which needs Qt, is not
imported.
"""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from mla_train.data.cache import cached
from mla_train.data.examples import Examples, RawData
from mla_train.errors import UserError
from tasks.image_captioning.config import IconsConfig

FONTS = (
    "codicon",
    "elusiveicons",
    "fontawesome6-regular",
    "fontawesome6-solid",
    "materialdesignicons6",
    "phosphor",
    "remixicon",
)
"""Beginnings of the names of the fonts: the newest version of each, without brands."""


def read_icons(options: IconsConfig) -> RawData:
    """Icons in white on black and the words of their names; names that begin with the same word stay in one split.

    Raises:
        UserError: The package is not installed, or lacks a font.
    """
    fonts = find_fonts()
    images, names = cached(draw_icons)(fonts, options.height)
    captions = [" ".join(name.split("-")) for _, name in names]
    first_words = [caption.split()[0] for caption in captions]
    shown = [f"{font} {name}" for font, name in names]
    notes = [
        f"{len(names):,} icons of {len(fonts)} fonts of the package qtawesome; names that begin with the same word stay in one split"
    ]
    return RawData({"train": Examples({"image": torch.from_numpy(images)}, captions, shown, groups=first_words)}, notes)


def find_fonts() -> dict[str, tuple[Path, Path]]:
    """Font file and table of names of each font, by the beginning of its name.

    Raises:
        UserError: The package is not installed, or lacks a font.
    """
    spec = find_spec("qtawesome")
    if spec is None or spec.origin is None:
        raise UserError(
            "data=icons draws the fonts of the package qtawesome, which is not installed: pip install -e '.[demo]'"
        )
    folder, fonts = Path(spec.origin).parent / "fonts", {}
    for name in FONTS:
        files, tables = sorted(folder.glob(f"{name}-*.ttf")), sorted(folder.glob(f"{name}-*charmap-*.json"))
        if not files or not tables:
            raise UserError(
                f"data=icons: this version of qtawesome has no font {name} in {folder}; pip install 'qtawesome>=1.4,<2'"
            )
        fonts[name] = files[-1], tables[-1]
    return fonts


def draw_icons(fonts: dict[str, tuple[Path, Path]], height: int) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Icons as large as fits and in the middle, bytes `(icons, 1, height, height)`, and the font and name of each."""
    images, names = [], []
    for font, (file, table) in fonts.items():
        sizes = [ImageFont.truetype(str(file), size) for size in range(height, 3, -1)]
        for name, code in json.loads(table.read_text("utf-8")).items():
            sign = chr(int(code, 16))
            for face in sizes:
                left, top, right, bottom = face.getbbox(sign)
                if right - left <= height and bottom - top <= height:
                    break
            image = Image.new("L", (height, height), 0)
            place = (height - right - left) / 2, (height - bottom - top) / 2
            ImageDraw.Draw(image).text(place, sign, fill=255, font=face)
            pixels = np.asarray(image)
            if pixels.any() and re.search(r"\w", name):  # some are blank
                images.append(pixels[None])
                names.append((font, name))
    return np.stack(images), names

"""Bundled data: icons of the package qtawesome, drawn from its fonts, and their names; see the README for licences.

The files are read where they are installed: the package itself needs Qt, and is not imported.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import ImageFont

from mla_train.data.cache import cached
from mla_train.data.examples import Examples, RawData
from mla_train.data.glyphs import draw_text
from mla_train.errors import UserError
from tasks.image_captioning.config import IconsConfig

FONTS = (
    "codicon", "elusiveicons", "fontawesome6-regular", "fontawesome6-solid", "materialdesignicons6", "phosphor", "remixicon",
)  # fmt: skip
"""Beginnings of the names of fonts: the newest of each, without those of brands."""


def read_icons(options: IconsConfig) -> RawData:
    """Icons in white on black and the words of their names; names that begin with the same word are a group.

    Raises:
        UserError: The package is not installed, or lacks a font.
    """
    fonts = find_fonts()
    images, names = cached(draw_icons)(fonts, options.height)
    captions = [name.replace("-", " ") for _, name in names]
    first_words, shown = [caption.split()[0] for caption in captions], [" ".join(name) for name in names]
    notes = [f"{len(names):,} icons of {len(fonts)} fonts; names that begin with the same word are in one split"]
    return RawData({"train": Examples({"image": torch.from_numpy(images)}, captions, shown, groups=first_words)}, notes)


def find_fonts() -> list[tuple[str, Path, Path]]:
    """Name, file and table of names of each font.

    Raises:
        UserError: The package is not installed, or lacks a font.
    """
    spec, install = find_spec("qtawesome"), "pip install 'qtawesome>=1.4,<2'"
    if spec is None or spec.origin is None:
        raise UserError(f"data=icons draws fonts of the package qtawesome, which is not installed: {install}")
    folder, fonts = Path(spec.origin).parent / "fonts", []
    for name in FONTS:
        files, tables = (sorted(folder.glob(f"{name}-*{ending}")) for ending in (".ttf", ".json"))
        if not files or not tables:
            raise UserError(f"data=icons: there is no font {name} in {folder}: {install}")
        fonts.append((name, files[-1], tables[-1]))
    return fonts


def draw_icons(fonts: list[tuple[str, Path, Path]], height: int) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Icons as large as fits and in the middle, bytes `(icons, 1, height, height)`, and the font and name of each."""
    images, names = [], []
    for font, file, table in fonts:
        sizes = [ImageFont.truetype(str(file), size) for size in range(height, 3, -1)]
        for name, code in json.loads(table.read_text("utf-8")).items():
            image = draw_text(chr(int(code, 16)), sizes, height, height)
            if image.any():  # some are blank
                images.append(image[None])
                names.append((font, name))
    return np.stack(images), names

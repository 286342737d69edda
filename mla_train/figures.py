"""Figures as files. Texts of the data are drawn as they are written: a `$` begins no formula."""

from pathlib import Path
from typing import IO

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Text

from mla_train.errors import printable


def save_figure(figure: Figure, file: Path | IO[bytes], dpi: int) -> None:
    """Writes a figure as PNG."""
    with rc_context({"text.parse_math": False}):  # for labels that are made while it is drawn
        for text in figure.findobj(Text):
            text.set_parse_math(False)
            text.set_text(printable(text.get_text()))
        figure.savefig(file, format="png", dpi=dpi)

"""Figures as files. Texts of the data are drawn as they are written: a `$` begins no formula."""

from contextlib import nullcontext
from pathlib import Path
from typing import IO

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Text

from mla_train.errors import printable
from mla_train.safe_files import atomic_path


def save_figure(figure: Figure, file: Path | IO[bytes], dpi: int) -> None:
    """Writes a figure as PNG."""
    with rc_context({"text.parse_math": False}):  # for labels that are made while it is drawn
        for text in figure.findobj(Text):
            text.set_parse_math(False)
            text.set_text(printable(text.get_text()))
        with atomic_path(file) if isinstance(file, Path) else nullcontext(file) as part:
            figure.savefig(part, format="png", dpi=dpi)

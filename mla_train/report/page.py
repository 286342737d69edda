"""HTML pages of one file from templates/: style, script and images are inside them, and nothing is fetched."""

from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mla_train.errors import UserError, printable
from mla_train.masking import mask

FILES = Path(__file__).parent
SCALE = 0.8


def render(template: str, title: str, **values: Any) -> str:
    """A page: values are escaped, secrets masked, and `figure` of templates/parts.html takes a PNG as a file or as bytes."""
    style, script = ((FILES / name).read_text() for name in ("page.css", "page.js"))
    return mask(
        environment().get_template(f"{template}.html").render(title=title, style=style, script=script, **values)
    )


@cache
def environment() -> Environment:
    """The templates."""
    templates = Environment(
        loader=FileSystemLoader(FILES / "templates"),
        autoescape=True,
        finalize=lambda value: printable(value) if type(value) is str else value,  # not of what is markup already
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"data_uri": data_uri, "shown_width": shown_width}
    return templates


PNG = b"\x89PNG\r\n\x1a\n"


def data_uri(png: Path | bytes) -> str:
    """The address of a PNG that is inside the page."""
    return f"data:image/png;base64,{b64encode(_content(png)).decode()}"


def shown_width(png: Path | bytes) -> int:
    """Width of a PNG in a page: less than its pixels, so that the letters of figures are as large as those of the page."""
    return int(SCALE * int.from_bytes(_content(png)[16:20], "big"))


def _content(png: Path | bytes) -> bytes:
    """Bytes of a PNG; of a run folder only its own files, as a link may lead to anything."""
    if isinstance(png, bytes):
        return png
    content = b"" if png.is_symlink() else png.read_bytes()
    if not content.startswith(PNG):
        raise UserError(f"{png} is no PNG file of its own")
    return content

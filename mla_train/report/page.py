"""HTML pages of one file from templates/: style, script and images are inside them, and nothing is fetched."""

from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FILES = Path(__file__).parent


def render(template: str, title: str, **values: Any) -> str:
    """A page: values are escaped, and `figure` of templates/parts.html takes a PNG as a file or as bytes."""
    style, script = ((FILES / name).read_text() for name in ("page.css", "page.js"))
    return environment().get_template(f"{template}.html").render(title=title, style=style, script=script, **values)


@cache
def environment() -> Environment:
    """The templates."""
    templates = Environment(
        loader=FileSystemLoader(FILES / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["data_uri"] = data_uri
    return templates


def data_uri(png: Path | bytes) -> str:
    """The address of a PNG that is inside the page."""
    return f"data:image/png;base64,{b64encode(png if isinstance(png, bytes) else png.read_bytes()).decode()}"

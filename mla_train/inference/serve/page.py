"""The page of a served model, for people: one template, one script, and the style of the reports."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

FOLDER = Path(__file__).parent
REPORTS = FOLDER.parent.parent / "report"


def stylesheet() -> str:
    """The style of reports, and what the page adds to it."""
    return (REPORTS / "page.css").read_text() + (FOLDER / "page.css").read_text()


def script() -> str:
    """What the page does."""
    return (FOLDER / "page.js").read_text()


def page(description: Mapping[str, Any]) -> str:
    """HTML of the page, from what /metadata says."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((FOLDER / "page.html").read_text()).render(description)

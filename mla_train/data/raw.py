"""Raw examples as they come from a command line."""

import json
from collections.abc import Sequence
from typing import Any

from mla_train.errors import UserError


def parse_raw(words: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """One example from its parts.

    Args:
        words: Each `NAME=VALUE`, or all parts as one JSON object; what begins with no name is the first part.
        names: Of the parts.

    Raises:
        UserError: A part is given twice, or its name is not known.
    """
    if not names:
        raise UserError("this model reads no raw input: choose an example of its data with --index")
    found: dict[str, Any] = {}
    for word in words:
        parts = _object(word)
        if parts is None:
            name, _, value = word.partition("=")
            parts = {name: value} if name in names and value else {names[0]: word}
        for name, value in parts.items():
            if name not in names:
                raise UserError(f"there is no input {name}; this model reads {', '.join(names)}")
            if name in found:
                raise UserError(f"{name} is given twice: {found[name]} and {value}")
            found[name] = value
    return found


def _object(word: str) -> dict[str, Any] | None:
    """A JSON object; None is any other text."""
    if not word.startswith("{"):
        return None
    try:
        found = json.loads(word)
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None

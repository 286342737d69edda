"""Raw examples as they come from a command line."""

import json
from collections.abc import Sequence
from typing import Any

from mla_train.errors import UserError


def parse_raw(words: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """One example from the values of its inputs.

    Args:
        words: Arguments of the form `NAME=VALUE`, or one JSON object; a value without a name is that of the first input.
        names: Names of the inputs.

    Raises:
        UserError: An input is given twice, or its name is unknown.
    """
    if not names:
        raise UserError("this model reads no raw input: choose an example of its data with --index")
    example: dict[str, Any] = {}
    for word in words:
        inputs = _object(word)
        if inputs is None:
            name, _, value = word.partition("=")
            inputs = {name: value} if name in names and value else {names[0]: word}
        for name, value in inputs.items():
            if name not in names:
                raise UserError(f"there is no input {name}; this model reads {', '.join(names)}")
            if name in example:
                raise UserError(f"{name} is given twice: {example[name]} and {value}")
            example[name] = value
    return example


def _object(word: str) -> dict[str, Any] | None:
    """A JSON object; None is any other text."""
    if not word.startswith("{"):
        return None
    try:
        value = json.loads(word)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None

"""Raw examples as they come from a command line."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from mla_train.errors import UserError


def parse_raw(words: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """One example from arguments of the form `NAME=VALUE`, or one JSON object.

    A value without a name is that of the first input. A UserError where an input is given twice or its name is unknown.
    """
    if not names:
        raise UserError("this model reads no raw input: choose an example of its data with --index")
    example: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        inputs = {name: value} if name in names and value else {names[0]: word}
        if word.startswith("{"):
            with suppress(json.JSONDecodeError):
                inputs = json.loads(word)
        for name, value in inputs.items():
            if name not in names:
                raise UserError(f"there is no input {name}; this model reads {', '.join(names)}")
            if name in example:
                raise UserError(f"{name} is given twice: {example[name]} and {value}")
            example[name] = value
    return example

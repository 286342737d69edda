"""Checks that dataclasses of options share. `node` is the name of the options in the config, for the message."""

from typing import Any

from mla_train.errors import require


def at_least(least: float, options: Any, node: str, *names: str) -> None:
    """Refuses values below a bound; None is left to the option's own meaning.

    Raises:
        UserError: Names the option and the bound.
    """
    for name in names:
        value = getattr(options, name)
        require(value is None or value >= least, f"{_key(node, name)}={value}: must be {least:g} or more")


def between(low: float, high: float, options: Any, node: str, *names: str) -> None:
    """Refuses values outside of `low <= value < high`.

    Raises:
        UserError: Names the option and the bounds.
    """
    for name in names:
        value = getattr(options, name)
        require(low <= value < high, f"{_key(node, name)}={value}: must be {low:g} or more and below {high:g}")


def positive(options: Any, node: str, name: str, usual: str) -> None:
    """Refuses a value that is not above zero.

    Args:
        options: Dataclass that has the value.
        node: Name of the options in the config.
        name: Name of the option.
        usual: Usual value, for the message.

    Raises:
        UserError: Names the option and the usual value.
    """
    value = getattr(options, name)
    require(value > 0, f"{_key(node, name)}={value}: must be positive, {usual} is usual")


def _key(node: str, name: str) -> str:
    return f"{node}.{name}" if node else name


def check_options(options: Any) -> None:
    """Calls the `check` of every class that a dataclass of options is composed of, each once."""
    for base in type(options).__mro__:
        if "check" in vars(base):
            vars(base)["check"](options)

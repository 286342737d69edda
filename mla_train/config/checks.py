"""Limits of options, written beside their defaults, and the check of a dataclass of options."""

from collections.abc import Mapping
from dataclasses import field, fields, is_dataclass
from typing import Any

from mla_train.errors import require


def number(
    default: Any, *, least: float | None = None, above: float | None = None, below: float | None = None, usual: str = ""
) -> Any:
    """A numeric option with limits; None is left to the meaning that the option gives it.

    The limits hold for subclasses that give the option another default, too.

    Args:
        default: Default of the option.
        least: Lowest value.
        above: Value that it must be greater than.
        below: Value that it must be less than.
        usual: Usual values, for the message.
    """
    return field(default=default, metadata={"least": least, "above": above, "below": below, "usual": usual})


def check_options(options: Any, node: str = "") -> None:
    """Checks limits, nested options included, and calls the `check` of every class that the options are composed of.

    Args:
        options: Dataclass of options.
        node: Name of the options in the config, for messages.

    Raises:
        UserError: Names the option and what it must be.
    """
    limits: dict[str, Mapping[str, Any]] = {}
    for base in reversed(type(options).__mro__):
        if is_dataclass(base):
            limits |= {option.name: option.metadata for option in fields(base) if option.metadata}
    for option in fields(options):
        key, value = f"{node}.{option.name}" if node else option.name, getattr(options, option.name)
        if is_dataclass(value):
            check_options(value, key)
        elif option.name in limits and value is not None:
            _check_number(key, value, **limits[option.name])
    for base in type(options).__mro__:
        if "check" in vars(base):
            vars(base)["check"](options)


def _check_number(
    key: str, value: float, least: float | None, above: float | None, below: float | None, usual: str
) -> None:
    good = (least is None or value >= least) and (above is None or value > above) and (below is None or value < below)
    if above is not None and below is not None:
        bounds = f"between {above:g} and {below:g}"
    elif above is not None:
        bounds = "positive" if above == 0 else f"above {above:g}"
    else:
        bounds = f"{least:g} or more" + (f" and below {below:g}" if below is not None else "")
    require(good, f"{key}={value}: must be {bounds}" + (f", {usual} is usual" if usual else ""))

"""The spec of a stored model, which may come from a stranger: each value has the type that its dataclass says."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from mla_train.data.examples import LABEL
from mla_train.errors import UserError, require
from mla_train.heads.base import Head
from mla_train.modalities.base import Modality
from mla_train.model import ModelSpec

Spec = TypeVar("Spec")


def read_spec(
    stored: Any, modalities: Mapping[str, type[Modality]], heads: Mapping[str, type[Head]], key: str
) -> ModelSpec:
    """A spec from the result of `ModelSpec.to_dict`.

    Args:
        stored: Plain values.
        modalities: All kinds of input by name.
        heads: All kinds of answer by name.
        key: Name of the spec, for messages.

    Raises:
        UserError: A value is missing, or of another type than it must be.
    """
    require(isinstance(stored, dict), f"{key} holds no spec of a model")
    inputs, answer = stored.get("inputs"), stored.get("head")
    require(isinstance(inputs, dict) and bool(inputs), f"{key}: inputs must name the inputs of the model")
    read = {name: read_input(values, modalities, f"{key}: inputs.{name}") for name, values in inputs.items()}
    head, target = _read(answer, heads, f"{key}: head")
    sequences = stored.get("sequences", False)
    require(isinstance(sequences, bool), f"{key}: sequences must be true or false")
    columns = stored.get("columns", {})
    require(
        _is(columns, dict[str, str]) and columns.keys() <= {*read, LABEL}, f"{key}: columns must name those of inputs"
    )
    return ModelSpec(read, head, target, sequences, columns)


def read_input(values: Any, modalities: Mapping[str, type[Modality]], key: str) -> Modality:
    """One input of a model from plain values; see `read_spec`."""
    kind, spec = _read(values, modalities, key)
    return kind(spec)


def _read(values: Any, kinds: Mapping[str, Any], key: str) -> tuple[Any, Any]:
    """A kind of input or answer, and its spec."""
    kind = values.get("kind") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise UserError(f"{key}.kind must be one of {', '.join(kinds)}")
    return kinds[kind], typed(kinds[kind].spec_class, {name: v for name, v in values.items() if name != "kind"}, key)


def typed(cls: type[Spec], values: Mapping[str, Any], key: str) -> Spec:
    """A dataclass of plain values, each of the type that it is annotated with.

    Args:
        cls: The dataclass.
        values: Its values by name.
        key: Name of the dataclass, for messages.

    Raises:
        UserError: A value is missing, unknown, or of another type.
    """
    hints = get_type_hints(cls)
    known = {each.name: each for each in fields(cls)}  # type: ignore[arg-type]
    for name, value in values.items():
        require(name in known, f"{key}.{name} is unknown to this version")
        if not _is(value, hints[name]):
            shown, kind = repr(value), getattr(known[name].type, "__name__", known[name].type)
            raise UserError(f"{key}.{name} is {shown[:60]}{'...' * (len(shown) > 60)}, which is no {kind}")
    for name, field in known.items():
        has_default = field.default is not MISSING or field.default_factory is not MISSING
        require(name in values or has_default, f"{key}.{name} is missing")
    spec = cls(**values)
    for name, known_names in getattr(cls, "one_of", {}).items():
        require(getattr(spec, name) in known_names, f"{key}.{name} must be one of {', '.join(known_names)}")
    for name, (least, most) in getattr(cls, "within", {}).items():
        require(least <= getattr(spec, name) <= most, f"{key}.{name} must be from {least:,} to {most:,}")
    for names, *others in getattr(cls, "equally_long", ()):
        size = sum(len(getattr(spec, name)) for name in names)
        fitting = {name: (size, 0) if name in getattr(cls, "may_be_empty", ()) else (size,) for name in others}
        wrong = [name for name in others if len(getattr(spec, name)) not in fitting[name]]
        require(not wrong, f"{key}.{', '.join(wrong)} must be as long as {' and '.join(names)}: {size:,} values")
    return spec


def _is(value: Any, hint: Any) -> bool:
    """Whether a value as JSON has it is of a type: a plain one, or a list, a dictionary or a choice of such."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_is(value, each) for each in inner)
    if origin is list:
        return isinstance(value, list) and all(_is(each, inner[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_is(each, inner[1]) for each in value.values())
    if hint is float:
        return (type(value) is int and abs(value) < 2**63) or (type(value) is float and abs(value) < 1e308)
    if hint is int:
        return type(value) is int and 0 <= value < 2**31
    return type(value) is hint

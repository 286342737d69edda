"""What is known of a run's inputs from another run before the data is read: the vocabulary or scale that weights belong to."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mla_train.config import InitPart, TrainConfig
from mla_train.config.stored import read_json
from mla_train.errors import UserError, require
from mla_train.modalities.base import Modality
from mla_train.model_files import SPEC, find_source
from mla_train.stored_spec import read_input

Kinds = Mapping[str, type[Modality]]
"""Kind of each input, by name."""


def known_specs(config: TrainConfig, kinds: Kinds) -> dict[str, Any]:
    """Spec of each input that `init.from` or `data.tokenizer` gives, by its name in this run.

    Args:
        config: Full config of the run.
        kinds: Kind of each input of the run.

    Raises:
        UserError: There is no such model, or none of its inputs is a text where its tokenizer is asked for.
    """
    key = _key(config)
    path = config.init.source if key == "init.from" else getattr(config.data, key.removeprefix("data."), None)
    if path is None:
        return {}
    stored = _read_inputs(key, path, kinds)
    own = {name: kind.kind for name, kind in kinds.items()}
    if key == "data.tokenizer":
        own = {name: kind for name, kind in own.items() if kind == "text"}
    matches = match_inputs(own, {name: each.kind for name, each in stored.items()})
    if key == "data.tokenizer":
        missing = [name for name in own if name not in matches]
        require(
            not missing, f"{key}={path} has no tokenizer for {', '.join(missing)}: name a run that reads such a text"
        )
    specs = {name: stored[other].spec for name, other in matches.items() if getattr(stored[other].spec, "carried", ())}
    for name in (name for name in specs if own[name] == "text"):
        stored[matches[name]].tokenizer  # type: ignore[attr-defined]  # noqa: B018 - raises an error where it is broken
    # An end token belongs to embeddings that were trained with it, not to the tokenizer.
    return specs if key == "init.from" else {name: replace(spec, end_token=False) for name, spec in specs.items()}


def describe_known(config: TrainConfig, inputs: Mapping[str, Modality], known: Mapping[str, Any]) -> list[str]:
    """What was taken of another run, as lines for the user.

    They do not name the run: one that is resumed reads its own model in its place.

    Args:
        config: Full config of the run.
        inputs: Inputs as they are read.
        known: What `known_specs` gave.
    """
    lines, key = [], _key(config)
    for name, spec in known.items():
        is_text, own = inputs[name].kind == "text", inputs[name].spec
        if any(getattr(own, each) != getattr(spec, each) for each in (["tokenizer"] if is_text else spec.carried)):
            continue  # it does not fit: what is left of it is told with the weights
        what = f"read with the {spec.vocab_size:,} tokens of" if is_text else "scaled as in"
        if inputs[name].kind == "items":
            what = f"read with the catalogue of {len(spec.catalogue):,} items of"
        lines.append(f"{name} is {what} the run that {key} names")
    return lines


def _key(config: TrainConfig) -> str:
    """The option that may name the run whose inputs are known."""
    return "init.from" if config.init.takes(InitPart.embedding) else "data.tokenizer"


def match_inputs(own: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    """Names of the inputs of a stored model by those of this run.

    Inputs match that have the same name and kind, and the only one of a kind here and the only one there.

    Args:
        own: Kind of each input of this run.
        stored: Kind of each input of the stored model.
    """
    matches = {}
    for name, kind in own.items():
        alike = [other for other, each in stored.items() if each == kind]
        if name in alike:
            matches[name] = name
        elif len(alike) == 1 and list(own.values()).count(kind) == 1:
            matches[name] = alike[0]
    return matches


def _read_inputs(key: str, path: str, kinds: Kinds) -> dict[str, Modality]:
    """Those inputs of a stored model whose kinds this run has, by name."""
    file: Path = find_source(key, path, [SPEC]) / SPEC
    known = {kind.kind: kind for kind in kinds.values()}
    try:
        inputs = read_json(file)["inputs"]
        alike = {name: values for name, values in inputs.items() if values["kind"] in known}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{key}={path}: {file} cannot be read: {type(error).__name__}, {error}") from error
    return {name: read_input(values, known, f"{file}: inputs.{name}") for name, values in alike.items()}

"""Weights that a run takes from another one, `init.from`."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mla_train.config import InitPart, TrainConfig
from mla_train.config.typed import flatten
from mla_train.errors import UserError, require
from mla_train.inference.artifact import load_model
from mla_train.known_inputs import match_inputs
from mla_train.modalities.base import Modality
from mla_train.model import Model
from mla_train.model_files import WEIGHTS, find_source, is_deepseek
from mla_train.training.deepseek_checkpoint import deepseek_sizes, read_deepseek
from mla_train.training.run_folder import plain
from mla_train.training.scores import read_kept_start

UNUSED = ("encoder.masked_modeling",)
"""Options of the network that change the training alone, not what its weights mean."""


@dataclass
class Taken:
    """Names of weights that a network takes from another.

    Attributes:
        names: Name in the other network by the name in this one, for each part.
        problems: What does not fit, in words.
    """

    names: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """What a run starts from.

    Attributes:
        weights: Weights by name.
        inputs: Its inputs, by name; none of a checkpoint of another library.
        differing: Options of attention and encoder that it has otherwise than this run, as words of a command line.
        task: Name of its task, or kind of checkpoint.
        data: Name of its data; empty where that is not known.
    """

    weights: Mapping[str, Tensor]
    inputs: Mapping[str, Modality]
    differing: list[str]
    task: str
    data: str = ""


def read_source(config: TrainConfig) -> Source:
    """The run, or the checkpoint of the DeepSeek family, that `init.from` names.

    Raises:
        UserError: There is no such run, or it cannot be read.
    """
    path = config.init.source
    try:
        if is_deepseek(path):
            own, sizes = flatten(plain(config)), deepseek_sizes(Path(path))
            differing = [f"{key}={_word(value)}" for key, value in sizes.items() if own[key] != value]
            return Source(read_deepseek(Path(path)), {}, differing, "a DeepSeek checkpoint")
        source = load_model(find_source("init.from", path))
    except UserError as error:
        if str(error).startswith("init.from="):
            raise
        raise UserError(f"init.from={path}: {error}") from error
    names = source.config.task.name, source.config.data.name
    return Source(source.model.state_dict(), source.model.spec.inputs, _differing(config, source.config), *names)


def start_fingerprint(config: TrainConfig) -> dict[str, Any]:
    """Hash of the weights of the run that `init.from` names, for a fingerprint; empty where there are none."""
    path = config.init.source
    if path is None or is_deepseek(path):
        return {}
    with suppress(UserError), (find_source("init.from", path) / WEIGHTS).open("rb") as stream:
        return {"starts": {"init.from": hashlib.file_digest(stream, "sha256").hexdigest()}}
    return {}


def load_start(model: Model, config: TrainConfig) -> dict[str, Any]:
    """Sets weights of a new network to those of the run that `init.from` names.

    Returns:
        For results.json: the source, the numbers of weights that were taken of each part, and names of those that were not.

    Raises:
        UserError: There is no such run, or it does not fit.
    """
    options = config.init
    source = read_source(config)
    taken = match_weights(model, source, options.parts)
    differing = source.differing
    if taken.problems and not options.partial:
        words = f"take its sizes ({' '.join(differing)}), " if differing else ""
        raise UserError(
            f"init.from={options.source} does not fit this network: {_first(taken.problems)}. To go on, {words}name other parts "
            "with init.parts=, or take what fits with init.partial=true"
        )
    own = model.state_dict()
    count = {part: sum(own[name].numel() for name in names) for part, names in taken.names.items()}
    require(
        any(count.values()),
        f"init.from={options.source} has nothing that init.parts=[{','.join(part.value for part in options.parts)}] names "
        "and this network has: name other parts",
    )
    with torch.no_grad():
        pairs = {name: other for names in taken.names.values() for name, other in names.items()}
        for name, other in pairs.items():
            own[name].copy_(source.weights[other])
    left = [name for name in own if name not in pairs]
    return {
        "from": str(options.source),
        "task": source.task,
        "data": source.data,
        "kept_start": bool(read_kept_start(options.source)),  # its encoder was not trained
        "loaded": count,
        "not_loaded": left,
        "problems": taken.problems,
        "differing": differing,
    }


def match_weights(model: Model, source: Source, parts: list[InitPart]) -> Taken:
    """Finds the weights of a trained network that each part of a new one takes."""
    own, stored, taken = model.state_dict(), source.weights, Taken()
    for part in InitPart:
        if part not in parts:
            continue
        if part is InitPart.embedding:
            prefixes = _embeddings(model, source.inputs, taken.problems)
        else:
            prefixes = {"encoder.": "encoder."} if part is InitPart.encoder else {"head.decoder.": "head.decoder."}
            for here, weights in (("this run", own), ("the other", stored)):
                if not any(name.startswith(tuple(prefixes)) for name in weights):
                    taken.problems.append(f"{here} has no {part.value}")
        taken.names[part.value] = _fitting(own, stored, prefixes, taken.problems)
    return taken


def _embeddings(model: Model, stored: Mapping[str, Modality], problems: list[str]) -> dict[str, str]:
    """Prefixes of the embeddings of inputs that match; what their weights belong to must be equal."""
    own = model.spec.inputs
    kinds = ({name: each.kind for name, each in inputs.items()} for inputs in (own, stored))
    prefixes = {}
    for name, other in match_inputs(*kinds).items():
        carried = getattr(own[name].spec, "carried", ())
        differing = [key for key in carried if getattr(own[name].spec, key) != getattr(stored[other].spec, key)]
        if differing:
            problems.append(f"{' and '.join(differing)} of {name} differ")
        else:
            prefixes[f"embeddings.{name}."] = f"embeddings.{other}."
    if list(own) == list(stored) and len(own) > 1:
        prefixes["input_type."] = "input_type."
    return prefixes


def _fitting(
    own: Mapping[str, Tensor], stored: Mapping[str, Tensor], prefixes: Mapping[str, str], problems: list[str]
) -> dict[str, str]:
    """Names of stored weights by own names, below prefixes; weights without a partner of their size are problems."""
    names = {}
    for prefix, other in prefixes.items():
        here, there = (
            {n.removeprefix(p) for n in weights if _is_taken(n, p)} for weights, p in ((own, prefix), (stored, other))
        )
        for rest in sorted(here | there):
            shapes = [
                tuple(each[p + rest].shape) if p + rest in each else None
                for each, p in ((own, prefix), (stored, other))
            ]
            if shapes[0] == shapes[1]:
                names[prefix + rest] = other + rest
            else:
                problems.append(f"{prefix}{rest} is {shapes[0] or 'missing'} here and {shapes[1] or 'missing'} there")
    return names


def _is_taken(name: str, prefix: str) -> bool:
    """Whether a weight belongs to a part: side paths begin by `task.start`, and a mask token serves training alone."""
    return name.startswith(prefix) and ".side_paths." not in name and not name.startswith("encoder.token_masking.")


def _differing(config: TrainConfig, source: TrainConfig) -> list[str]:
    """Options of attention and encoder that another run has otherwise, as words of a command line."""
    own, stored = ({k: plain(each)[k] for k in ("attention", "encoder")} for each in (config, source))
    theirs = flatten(stored)
    return [
        f"{key}={_word(theirs[key])}"
        for key, value in flatten(own).items()
        if not isinstance(value, dict) and key not in UNUSED and theirs[key] != value
    ]


def _word(value: Any) -> str:
    """A value as a command line has it."""
    return "null" if value is None else str(value)


def _first(problems: list[str], count: int = 3) -> str:
    """The first problems, and the number of the others."""
    return ", ".join(problems[:count]) + f" and {len(problems) - count:,} more" * (len(problems) > count)


def _part(name: str) -> str:
    """The part of the network that a weight belongs to, such as `embeddings.text` or its side paths."""
    parts = name.split(".")
    count = 3 if parts[2:3] == ["side_paths"] else 2 if parts[0] in ("embeddings", "head") else 1
    return ".".join(parts[:count])


def describe_start(record: Mapping[str, Any] | None) -> list[str]:
    """What was taken from another run and what was not, as lines for the user."""
    if not record:
        return []
    loaded = ", ".join(f"{part} ({count:,} weights)" for part, count in record["loaded"].items() if count)
    tops = dict.fromkeys(map(_part, record["not_loaded"]))
    lines = [
        f"starts from {record['from']} ({record['task']}{record['data'] and ' on '}{record['data']}): {loaded} taken; new: "
        f"{', '.join(tops) or 'nothing'} (init.from)"
    ]
    if record["kept_start"]:
        lines.append(
            f"look at: the model of {record['from']} is the simple one as which it began, and its encoder was hardly trained: "
            "train it with task.start=none"
        )
    if record["problems"]:
        lines.append(f"left out, as it does not fit: {_first(record['problems'])} (init.partial)")
    if record["differing"]:
        lines.append(
            f"that run was trained with {' '.join(record['differing'])}, this one is not: its weights meant this"
        )
    return lines

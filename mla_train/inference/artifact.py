"""A trained model as files that are read without running code from them: weights, spec, config."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from mla_train.config import TrainConfig
from mla_train.config.typed import from_dict
from mla_train.errors import UserError
from mla_train.model import Model, ModelSpec
from mla_train.task import Task, build_task

WEIGHTS, SPEC, CONFIG = "model.safetensors", "spec.json", "config.json"


@dataclass
class Artifact:
    """A trained model: the config that it was trained with, its task, and its network in evaluation mode."""

    config: TrainConfig
    task: Task
    model: Model


def save_model(weights: Mapping[str, Tensor], spec: ModelSpec, config: TrainConfig, folder: Path) -> None:
    """Writes model.safetensors, spec.json and config.json into a folder, which is created if it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    # Written by Python, so that the file has ordinary modes: safetensors makes one that others cannot read.
    (folder / WEIGHTS).write_bytes(save({name: weight.contiguous() for name, weight in weights.items()}))
    (folder / SPEC).write_text(json.dumps(spec.to_dict(), indent=2, ensure_ascii=False) + "\n")
    values = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    (folder / CONFIG).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def load_model(path: str | Path) -> Artifact:
    """Reads the model of a run folder, or a model folder.

    Args:
        path: Run folder, or the folder `model` in it.

    Raises:
        UserError: There is no finished model in it, or it cannot be read.
    """
    root = Path(path)
    folder = root / "model" if (root / "model" / WEIGHTS).is_file() else root
    for name in (WEIGHTS, SPEC, CONFIG):
        if not (folder / name).is_file():
            raise UserError(f"{root} holds no finished model ({folder / name} is missing)")
    try:
        config = from_dict(TrainConfig, json.loads((folder / CONFIG).read_text()))
        stored = json.loads((folder / SPEC).read_text())
        weights = load_file(folder / WEIGHTS)
    except (ValueError, SafetensorError) as error:
        raise UserError(f"{folder} cannot be read: {error}") from error
    task = build_task(config)
    model = task.build_model(task.load_spec(stored))
    model.load_state_dict(weights)
    return Artifact(config, task, model.eval())

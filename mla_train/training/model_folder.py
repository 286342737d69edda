"""The trained model as files that are read without running code: weights, facts of the data, config."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from mla_train.config.compose import to_typed_config
from mla_train.errors import UserError
from mla_train.training.build import build_task
from mla_train.training.task import Task


def save_model(checkpoint: Path, facts: Any, folder: Path) -> None:
    """Writes model.safetensors and preprocessing.json.

    Args:
        checkpoint: Whose weights are kept.
        facts: What the network was built from.
        folder: Made if need be.
    """
    folder.mkdir(exist_ok=True)
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / "model.safetensors")
    (folder / "preprocessing.json").write_text(json.dumps(asdict(facts), indent=2, ensure_ascii=False) + "\n")


def load_model(run: Path) -> Task:
    """The trained task of a run folder, ready to predict; `task.facts` says what it expects.

    Args:
        run: A run folder.

    Raises:
        UserError: There is no finished model in it.
    """
    weights = run / "model" / "model.safetensors"
    if not weights.is_file():
        raise UserError(f"{run} holds no finished model ({weights} is missing)")
    stored: Any = OmegaConf.load(run / "config.yaml")
    config = to_typed_config(stored)
    task = build_task(config, json.loads((run / "model" / "preprocessing.json").read_text()))
    task.load_state_dict(load_file(weights))
    return task.eval()

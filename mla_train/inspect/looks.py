"""Where a model looks at one example: pictures and numbers in a folder."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten

import torch

from mla_train.errors import UserError
from mla_train.inspect.heatmaps import draw_look, draw_statistics
from mla_train.inspect.views import View
from mla_train.nn import observe
from mla_train.nn.attention.observation import POINTS
from mla_train.nn.head_statistics import head_statistics
from mla_train.training.task import Task

LONGEST_TITLE = 60


def draw_attention(task: Task, view: View, layer: int | None, folder: Path) -> list[Path]:
    """Heat maps of a layer, and statistics of the heads of all.

    Args:
        task: The model.
        view: Of the example.
        layer: Counted from 1; None is the last.
        folder: Where files are written.
    """
    looks = [look for look in view.looks if look.layers]
    if not looks:
        raise UserError(
            "this model has no heads with which its parts look at each other: choose --method integrated_gradients, "
            "occlusion, lime or shap"
        )
    depth = max(len(look.layers) for look in looks)
    if layer is not None and not 1 <= layer <= depth:
        raise UserError(f"--layer {layer}: there are layers 1 to {depth}")
    with torch.no_grad(), observe([module for look in looks for module in look.layers], *POINTS) as watched:
        task(view.batch)
    files, statistics, start = [], {}, 0
    for look in looks:
        seen = watched[start : start + len(look.layers)]
        start += len(look.layers)
        if any(len(each.weights) <= look.call for each in seen):
            raise UserError(f"{look.name}: this kind of attention does not show its weights")
        number = min(layer or depth, len(seen))
        files.append(folder / f"{re.sub('[^a-z0-9]+', '_', look.name.lower())}_layer{number}.png")
        weights = seen[number - 1].weights[look.call][look.row]
        said = shorten(view.said, LONGEST_TITLE, placeholder=" ...")
        draw_look(look, weights, f"{look.name}, layer {number}  ({said})", files[-1])
        statistics[look.name] = [head_statistics(each, look.places, look.call, look.row) for each in seen]
    found = {name: [asdict(each) for each in layers] for name, layers in statistics.items()}
    (folder / "heads.json").write_text(json.dumps(found, indent=2) + "\n")
    draw_statistics(statistics, folder / "heads.png")
    return [*files, folder / "heads.png", folder / "heads.json"]

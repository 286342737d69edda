"""Attention of a model on one example: figures and numbers in a folder."""

import json
import re
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from textwrap import shorten

import torch

from mla_train.errors import UserError
from mla_train.explain.attention_view import AttentionView
from mla_train.explain.explanation import Explanation
from mla_train.explain.heatmaps import draw_attention_view, draw_statistics
from mla_train.model import Model
from mla_train.nn import observe
from mla_train.nn.attention.observation import POINTS, Record
from mla_train.nn.head_statistics import head_statistics
from mla_train.safe_files import write_atomically

LONGEST_TITLE = 60


def draw_attention(model: Model, explanation: Explanation, layer: int | None, folder: Path) -> list[Path]:
    """Draws attention maps of one layer, counted from 1, or of the last, and statistics of the heads of all layers.

    Returns:
        The files that are written into the folder.

    Raises:
        UserError: The model has no such layer, or no attention layers.
    """
    observed = observe_views(model, explanation)
    if not observed:
        raise UserError(
            "this model has no attention maps; use --method integrated_gradients, occlusion, lime or shap instead"
        )
    depth = max(len(view.layers) for view, _ in observed)
    if layer is not None and not 1 <= layer <= depth:
        raise UserError(f"--layer {layer}: there are layers 1 to {depth}")
    files, statistics = [], {}
    prediction = shorten(explanation.prediction, LONGEST_TITLE, placeholder=" ...")
    for view, own in observed:
        number = min(layer or depth, len(own))
        files.append(folder / f"{file_name(view)}_layer{number}.png")
        weights = own[number - 1].weights[view.call][view.row]
        draw_attention_view(view, weights, f"{view.name}, layer {number}  ({prediction})", files[-1])
        statistics[view.name] = [head_statistics(record, view.positions, view.call, view.row) for record in own]
    numbers = {name: [asdict(each) for each in layers] for name, layers in statistics.items()}
    write_atomically(folder / "heads.json", json.dumps(numbers, indent=2) + "\n")
    draw_statistics(statistics, folder / "heads.png")
    return [*files, folder / "heads.png", folder / "heads.json"]


def observe_views(model: Model, explanation: Explanation) -> list[tuple[AttentionView, list[Record]]]:
    """The attention views of an example, each with what its layers computed; those without layers are left out."""
    views = [view for view in explanation.attention if view.layers]
    with torch.no_grad(), observe([module for view in views for module in view.layers], *POINTS) as records:
        model(explanation.batch)
    rest = iter(records)
    return [(view, list(islice(rest, len(view.layers)))) for view in views]


def draw_mean_attention(model: Model, explanation: Explanation, folder: Path) -> list[Path]:
    """Draws the attention of the last layers, mean over heads; returns the files, none where there is no attention."""
    views = [view for view in explanation.attention if view.layers]
    with torch.no_grad(), observe([view.layers[-1] for view in views], "weights") as records:
        model(explanation.batch)
    files = [folder / f"{file_name(view)}.png" for view in views]
    prediction = shorten(explanation.prediction, LONGEST_TITLE // 2, placeholder=" ...")  # the figures are narrow
    for view, record, file in zip(views, records, files, strict=True):
        weights = record.weights[view.call][view.row].mean(0, keepdim=True)
        draw_attention_view(view, weights, f"{view.name}\n{prediction}", file)
    return files


def file_name(view: AttentionView) -> str:
    """Name of a view for files."""
    return re.sub("[^a-z0-9]+", "_", view.name.lower())

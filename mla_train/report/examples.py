"""Pictures of single test examples for the report of a run: small images of the worst mistakes, attention maps."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from mla_train.dataset import Dataset
from mla_train.explain.draw_attention import draw_mean_attention
from mla_train.figures import save_figure
from mla_train.inference.artifact import Artifact
from mla_train.modalities.audio.explain import spectrogram_image
from mla_train.safe_files import UNFINISHED, write_atomically

THUMBNAILS, ATTENTION = "mistakes", "attention"
"""Folders in figures/; the name of each file begins with the index of its test example."""
THUMBNAIL_SIDE = 96


def draw_thumbnails(data: Dataset, indices: Sequence[int], folder: Path) -> None:
    """Draws images, series and spectrograms of test examples as INDEX_INPUT.png."""
    for index in indices:
        for name, raw in data.test.raw(index).items():
            kind = data.spec.inputs[name].kind
            if not isinstance(raw, Tensor | np.ndarray) or kind not in ("image", "series", "audio"):
                continue
            folder.mkdir(parents=True, exist_ok=True)
            values = np.asarray(raw)
            if kind == "audio":
                content = small_image(spectrogram_image(torch.from_numpy(values)))
            else:
                content = small_image(torch.from_numpy(values)) if kind == "image" else lines(values.T)
            write_atomically(folder / f"{index}_{name}.png", content)


def draw_attention_examples(artifact: Artifact, data: Dataset, indices: Sequence[int], folder: Path) -> None:
    """Draws the attention of the last layer for test examples as INDEX_VIEW.png."""
    for index in indices:
        explanation = artifact.task.explain(artifact.model, data.test.raw(index))
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=UNFINISHED) as drawn:
            for file in draw_mean_attention(artifact.model, explanation, Path(drawn)):
                file.replace(folder / f"{index}_{file.name}")


def small_image(pixels: Tensor) -> bytes:
    """An image `(channels, height, width)` of integers as PNG, no larger than it has to be."""
    image = Image.fromarray(pixels.permute(1, 2, 0).squeeze(-1).numpy().astype(np.uint8))
    image.thumbnail((4 * THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def forecast_lines(row: Mapping[str, Any]) -> bytes:
    """Forecast and measured values of a row of predictions.jsonl as PNG."""
    return lines([row["measured"], row["forecast"]], ["black", "tab:blue"])


def lines(series: Any, colours: Sequence[str | None] = (None,) * 12) -> bytes:
    """Series as lines without axes, as PNG."""
    figure = Figure(figsize=(2.4, 0.6))
    axes = figure.add_axes((0.01, 0.05, 0.98, 0.9))
    axes.set_axis_off()
    for values, colour in zip(series, colours, strict=False):
        axes.plot(np.array(values, dtype=float), color=colour, linewidth=1)
    stream = BytesIO()
    save_figure(figure, stream, 100)
    return stream.getvalue()

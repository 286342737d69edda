"""Pretraining without labels on images or series: hidden patches are filled in (tasks masked_image, masked_series, masked_windows)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from mla_train.baselines import Baselines
from mla_train.config import MaskedPatchOptions
from mla_train.data.examples import RawData
from mla_train.dataset import Dataset, Split
from mla_train.figures import save_figure
from mla_train.heads import Predictions
from mla_train.heads.masked_patches import Filled, MaskedPatches, MaskedPatchSpec
from mla_train.model import Model
from mla_train.preparation import prepare_unlabelled
from mla_train.task import Task

SHOWN = 6  # examples in a figure


class MaskedPatchTask(Task):
    """Examples with one input, whose hidden patches are filled in; a subclass says what the input is."""

    head = MaskedPatches

    def prepare(self, raw: RawData) -> Dataset:
        """Splits without labels; val and test hide the same patches each time."""
        data = prepare_unlabelled(raw, dict(self.inputs), MaskedPatches, self.head_of_labels(raw), self.config)
        (name,) = self.inputs
        return self.with_target(data, MaskedPatchSpec(name, self.options.mask_rate))

    @property
    def options(self) -> MaskedPatchOptions:
        """Options of the task."""
        return cast(MaskedPatchOptions, self.config.task)

    def with_target(self, data: Dataset, target: MaskedPatchSpec) -> Dataset:
        """Splits of which is known what is hidden; a note says so."""
        notes = [*data.notes, f"{target.rate:.0%} of the patches are hidden (task.mask_rate)"]
        return replace(data, spec=replace(data.spec, target=target), notes=notes)

    def baselines(self, data: Dataset) -> Baselines:
        """The mean, the numbers near by, and the best linear guess."""
        from mla_train.baselines.filling import filling_baselines

        (modality,) = data.spec.inputs.values()
        return filling_baselines(data, modality.embedding(self.config), **self.fillers(data))

    def fillers(self, data: Dataset) -> dict[str, Callable[[Split], Tensor]]:
        """Further baselines that suit the input, by name: what fills the inputs of a split, in their shape."""
        return {}

    def figures(self, model: Model, predictions: Predictions, data: Dataset, folder: Path) -> None:
        """Some examples of test: as they are, what the network reads of them, what it fills in."""
        super().figures(model, predictions, data, folder)
        places = np.linspace(0, len(data.test) - 1, min(SHOWN, len(data.test))).astype(int)
        batch = data.collate([data.test[int(place)] for place in places], training=False)
        with torch.no_grad():
            filled: Filled = model.eval()(batch)
        (embedding,) = cast(Any, model.embeddings).values()
        draw_filled(embedding, next(iter(batch.inputs.values())), filled, folder / "filled.png")


def draw_filled(embedding: Any, tensors: Any, filled: Filled, file: Path) -> None:
    """Examples in rows: as they are, without what is hidden, filled."""
    target = embedding.reconstruction_target(tensors)
    hidden = filled.patches.unsqueeze(-1) & target.known
    guess = target.values.float().clone()
    guess[filled.patches] = filled.values.float()
    whole, seen, guessed = (
        embedding.join(each)
        for each in (target.values.float(), target.values.float().masked_fill(hidden, torch.nan), guess)
    )
    draw = _draw_images if whole.dim() == 4 else _draw_series
    save_figure(draw(embedding, whole.cpu(), seen.cpu(), guessed.cpu()), file, 110)


def _draw_images(embedding: Any, *versions: Tensor) -> Figure:
    rows, columns = len(versions[0]), len(versions)
    figure = Figure(figsize=(1.6 * columns, 1.6 * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for title, axis in zip(("image", "seen", "filled"), axes[0], strict=True):
        axis.set_title(title)
    for row, each in enumerate(zip(*versions, strict=True)):
        for axis, values in zip(axes[row], each, strict=True):
            pixels = (values * embedding.std.cpu() + embedding.mean.cpu()).clamp(0, 255) / 255
            shown = pixels.permute(1, 2, 0).numpy()
            is_hidden = np.isnan(shown).any(-1, keepdims=True)
            shown = np.concatenate([np.broadcast_to(np.nan_to_num(shown), (*shown.shape[:2], 3)), ~is_hidden], -1)
            axis.set_facecolor("lightsteelblue")
            axis.imshow(shown)
            axis.set(xticks=[], yticks=[])
    return figure


def _draw_series(embedding: Any, *versions: Tensor) -> Figure:
    """The first channel of each; hidden steps are those of the filled line alone."""
    whole, seen, guessed = (each[:, 0].numpy() for each in versions)
    figure = Figure(figsize=(9, 1.5 * len(whole) + 0.4), layout="constrained")
    axes = figure.subplots(len(whole), squeeze=False)[:, 0]
    for axis, values, visible, guess in zip(axes, whole, seen, guessed, strict=True):
        hidden = np.where(np.isnan(visible), guess, np.nan)
        axis.plot(values, color="lightgrey", linewidth=3, label="series")
        axis.plot(visible, color="tab:blue", label="seen")
        axis.plot(hidden, color="tab:orange", label="filled")
        axis.grid(alpha=0.3)
    axes[0].set_title(f"{embedding.spec.names[0]}, in standard deviations")
    axes[0].legend(fontsize=8, ncols=3)
    axes[-1].set_xlabel("step")
    return figure

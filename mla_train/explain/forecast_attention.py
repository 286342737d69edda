"""Attention of the steps to be forecast over the past, in one figure."""

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from mla_train.data.batch import Batch
from mla_train.explain.heatmaps import weight_bar
from mla_train.figures import save_figure
from mla_train.model import Model
from mla_train.nn import observe


@torch.no_grad()
def draw_forecast_attention(model: Model, batch: Batch, file: Path) -> None:
    """Attention of the patches to be forecast over all patches, mean over heads, some windows and blocks.

    With a latent array it is their attention over latents, times that of latents over patches.
    """
    encoder: Any = model.encoder
    (embedding,) = model.embeddings.values()
    windows: Any = embedding
    array = encoder.array
    layers = [block.get_submodule("attention") for block in encoder.blocks]
    was_training = model.training
    model.eval()
    with observe(layers if array is None else [array.write_attention, array.read_attention], "weights") as records:
        model(batch.to(next(model.parameters()).device))
    model.train(was_training)
    if array is None:
        weights = torch.stack([record.weights[0].mean((0, 1)) for record in records]).mean(0)
    else:
        written, read = (record.weights[0].mean(1) for record in records)
        weights = (written @ read).mean(0)
        weights = weights[encoder.num_registers :, encoder.num_registers :]
    length = windows.past_patches + windows.future_patches
    if weights.size(-1) != length:  # series mixed: over all of them
        weights = weights.unflatten(0, (-1, length)).unflatten(-1, (-1, length)).mean(0).sum(1)
    future = weights[windows.past_patches :].cpu().numpy()
    patch = windows.patch
    first = -windows.past_patches * patch
    figure = Figure(figsize=(10, 1.5 + 0.4 * min(len(future), 12)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(future, cmap="Blues", vmin=0, aspect="auto", interpolation="nearest",
                        extent=(first, first + length * patch, len(future) * patch, 0))  # fmt: skip
    axes.axvline(0, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="step that is attended to (0: the first to be forecast)", ylabel="steps ahead")
    axes.set_title("attention of the forecast (mean over heads, blocks and windows)")
    weight_bar(figure, image, axes, weights.size(-1), shrink=1)
    save_figure(figure, file, 110)

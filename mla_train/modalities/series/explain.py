"""The units of a series: its patches."""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mla_train.modalities.explanation import GradientInput, InputExplanation, PatchUnits, put_tensor
from mla_train.modalities.series.spec import SeriesSpec, SeriesTensors
from mla_train.modalities.series.transforms import restored
from mla_train.modalities.series.windows import ScaledSeries, Window


def explain_series(name: str, spec: SeriesSpec, embedding: Any, tensors: SeriesTensors) -> InputExplanation:
    """Patches of all channels of a whole series together, occluded at the mean of each channel.

    See `Modality.explain`.
    """
    std, mean = torch.tensor(spec.std).unsqueeze(1), torch.tensor(spec.mean).unsqueeze(1)
    past, real = tensors.past[0], tensors.real[0]
    values = (past * std + mean).masked_fill(~real, torch.nan).numpy()
    edges = [*range(0, past.size(1), embedding.patch), past.size(1)]
    own_mean = past.sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp(min=1)
    blank = torch.where(real, own_mean, past)
    filled = np.where(np.isnan(values), np.nan, (own_mean * std + mean).numpy())

    def occlude(kept: np.ndarray) -> list[Any]:
        stays = kept.astype(bool).repeat(np.diff(edges), 1)
        return [np.where(row, values, filled).T for row in stays]

    units = PatchUnits(values[0], edges, 0, spec.names[0])
    tokens = torch.arange(len(units))
    steps = _past_input(name, tensors.past, blank.unsqueeze(0), edges, slice(None))
    return InputExplanation(units, tokens, tokens.unsqueeze(1), occlude, [steps])


def explain_window(
    name: str, spec: SeriesSpec, embedding: Any, tensors: SeriesTensors, window: Window
) -> InputExplanation:
    """Patches of the past of one series of a window, occluded at its mean; attention is over those to be forecast, too.

    See `Modality.explain`; `window.shown` is the series.
    """
    shown, patch, look_back = window.shown, embedding.patch, spec.look_back
    past = [max(0, look_back - patch * i) for i in range(-(-look_back // patch), -1, -1)]
    future = [look_back + min(spec.horizon, patch * i) for i in range(1, 1 + -(-spec.horizon // patch))]
    own = tensors.past[0, shown]
    blank = tensors.past.clone()
    blank[0, shown] = own.mean()
    series, rows = window.series, slice(window.now - look_back, window.now + spec.horizon)
    phase = series.phase + window.now - look_back

    def occlude(kept: np.ndarray) -> list[Any]:
        stays = kept.astype(bool).repeat(np.diff(past), 1)
        windows = []
        for row in stays:
            values = series.values[rows].copy()
            values[:look_back, shown] = np.where(row, own.numpy(), own.mean().item())
            parts = series.real[rows], series.known[rows], series.observed[rows]
            windows.append(Window(ScaledSeries(series.table, values, *parts, phase), look_back, shown))
        return windows

    values = restored(own.numpy() * spec.std[shown] + spec.mean[shown], spec.transform)
    tokens, channels = torch.arange(len(past) + len(future) - 1), len(spec.names)
    token_units = torch.full((channels if embedding.mixing else 1, len(tokens)), -1)
    token_units[shown if embedding.mixing else 0] = tokens
    steps = _past_input(name, tensors.past, blank, past, slice(shown, shown + 1))
    return InputExplanation(
        PatchUnits(values, past, look_back, spec.names[shown]),
        token_units.flatten(),
        tokens.repeat(len(token_units)).unsqueeze(1),
        occlude,
        [steps],
        attended=PatchUnits(values, [*past, *future], look_back, spec.names[shown]),
        row=0 if embedding.mixing else shown,
    )


def _past_input(name: str, past: Tensor, blank: Tensor, edges: list[int], channels: slice) -> GradientInput:
    """Steps that are read, `(1, channels, length)`, summed over patches and some channels."""

    def gather(values: Tensor) -> Tensor:
        return torch.stack([values[0, channels, a:b].sum() for a, b in pairwise(edges)])

    return GradientInput(past, blank, gather, put_tensor(name, "past"))

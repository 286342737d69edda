"""A window of a series as people see it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mla_train.errors import UserError, did_you_mean
from mla_train.explain.explanation import Explanation, GradientInput, PatchUnits, self_attention_view
from mla_train.training.task import Raw
from tasks.forecasting.data import ForecastBatch

if TYPE_CHECKING:
    from tasks.forecasting.task import ForecastingTask


@torch.no_grad()
def view_window(task: "ForecastingTask", raw: Raw) -> Explanation:
    """Patches over patches along one series; its past's patches as units, blank at the mean of its past.

    Args:
        task: With its network.
        raw: The series, and perhaps which of them is shown.

    Raises:
        UserError: There is no series of that name.
    """
    facts, network, patch = task.facts, task.network, task.options.patch
    batch = task.read([raw])
    name = raw.get("column", facts.names[0])
    if name not in facts.names:
        raise UserError(f"column={name}: there is no such series. {did_you_mean(name, facts.names)}")
    channel = facts.names.index(name)
    std, mean = facts.std[channel], facts.mean[channel]
    look_back, horizon = facts.look_back, facts.horizon
    past = [max(0, look_back - patch * i) for i in range(-(-look_back // patch), -1, -1)]
    future = [look_back + min(horizon, patch * i) for i in range(1, 1 + -(-horizon // patch))]
    own = batch.past[0, channel]
    values = torch.cat([own, task(batch)[0][0, channel]]).numpy() * std + mean
    patches = PatchUnits(values, past, look_back, name)
    views = []
    if network.residual is not None:
        mixing = network.residual.mixing
        tokens, channels = torch.arange(len(past) + len(future) - 1), len(facts.names)
        of = torch.full((channels if mixing else 1, len(tokens)), -1)
        of[channel if mixing else 0] = tokens
        layers = network.residual.encoder.attention_layers
        places = tokens.repeat(len(of)).unsqueeze(1)
        shown = PatchUnits(values, [*past, *future], look_back, name)
        row = 0 if mixing else channel
        views = [self_attention_view("patches over patches", layers, shown, of.flatten(), positions=places, row=row)]

    def like(pasts: Tensor) -> ForecastBatch:
        copies = {n: tensor.expand(len(pasts), *tensor.shape[1:]) for n, tensor in vars(batch).items()}
        return replace(batch, **copies | {"past": pasts})

    def occlude(kept: np.ndarray) -> ForecastBatch:
        stays = torch.from_numpy(kept.astype(bool)).repeat_interleave(torch.tensor(np.diff(past)), 1)
        pasts = batch.past.repeat(len(kept), 1, 1)
        pasts[:, channel] = torch.where(stays, own, own.mean())
        return like(pasts)

    def score(outputs: tuple[Tensor, Tensor]) -> Tensor:
        return outputs[0][:, channel].mean(-1) * std + mean

    blank = batch.past.clone()
    blank[:, channel] = own.mean()

    def gather(found: Tensor) -> Tensor:
        return torch.stack([found[0, channel, a:b].sum() for a, b in pairwise(past)])

    def outputs(values: Sequence[Tensor]) -> Any:
        return network(like(values[0]))

    prediction = f"{name}: {values[look_back:].mean():,.4g} on average over {horizon} steps"
    gradient_input = GradientInput(batch.past, blank, gather)
    return Explanation(
        batch, prediction, views, [patches], occlude, score, "the mean of the forecast", [gradient_input], outputs
    )

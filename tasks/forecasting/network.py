"""The forecaster: cycle, ridge and encoder, each a part of one sum."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.nn import Encoder, ReconstructionTarget
from tasks.forecasting.config import Channels, ForecastingTaskConfig
from tasks.forecasting.data import ForecastBatch, ForecastingFacts
from tasks.forecasting.ridge import Ridge

SLOW = 0.01  # what begins as a closed-form solution moves this much as fast as the rest


class Forecaster(nn.Module):
    """Past in, point forecast and quantiles out.

        x        = past - cycle
        linear   = (x - mean) W + mean                                            W: the ridge solution, at first
        forecast = cycle + linear + spread * residual(x, linear, ...)             0, at first

    Args:
        config: The whole run's.
        facts: Of the series.
    """

    def __init__(self, config: TrainConfig, facts: ForecastingFacts) -> None:
        super().__init__()
        options = config.task
        assert isinstance(options, ForecastingTaskConfig)
        look_back, horizon, channels = facts.look_back, facts.horizon, len(facts.names)
        self.look_back, self.horizon, self.period = look_back, horizon, facts.period
        self.ridge: Tensor
        self.learning: Tensor
        self.profile: Tensor
        self.register_buffer("learning", torch.tensor(False))
        self.register_buffer("ridge", torch.zeros(look_back, horizon))
        self.register_buffer("profile", torch.zeros(facts.period, channels))
        self.linear = nn.Parameter(torch.zeros(look_back, horizon)) if options.linear else None
        self.cycle = nn.Parameter(torch.zeros(facts.period, channels)) if options.cycle else None
        self.residual = Residual(config, facts) if options.residual else None
        self.levels = options.quantiles
        self.quantiles = nn.Parameter((torch.tensor(options.quantiles) - 0.5).repeat(horizon, 1))

    @torch.no_grad()
    def begin(self, ridge: Ridge, profile: np.ndarray, batch: ForecastBatch) -> None:
        """Puts the closed-form solution in place.

        Args:
            ridge: Fitted on what is left when the profile is taken out.
            profile: Of the cycle, `(period, channels)`; zeros where there is none.
            batch: Windows whose errors the quantiles begin with.
        """
        if self.linear is not None:
            self.ridge.copy_(torch.from_numpy(ridge.weight))
        self.profile.copy_(torch.from_numpy(profile))
        found = self.closed_form(batch)
        errors = (batch.future - found.linear - found.ahead) / found.spread
        errors = errors.masked_fill(~batch.real[..., self.look_back :], torch.nan).flatten(0, 1)
        for number, level in enumerate(self.levels):
            for step, column in enumerate(errors.T):
                self.quantiles[step, number] = column.nanquantile(level).nan_to_num(level - 0.5)

    def closed_form(self, batch: ForecastBatch) -> "ClosedForm":
        """Cycle and linear forecast."""
        past = batch.past
        cycle, ahead = torch.zeros_like(past), past.new_zeros(*past.shape[:2], self.horizon)
        if self.cycle is not None:
            steps = batch.phase.unsqueeze(1) + torch.arange(self.look_back + self.horizon, device=past.device)
            both = (self.profile + SLOW * self.cycle)[steps % self.period].transpose(1, 2)
            cycle, ahead = both.split([self.look_back, self.horizon], -1)
        x = past - cycle
        mean = x.mean(-1, keepdim=True)
        linear = x[..., -1:].expand(-1, -1, self.horizon)
        if self.linear is not None:
            linear = (x - mean) @ (self.ridge + SLOW * self.linear) + mean
        return ClosedForm(x, x.std(-1, keepdim=True) + 1e-2, linear, ahead)

    def forward(self, batch: ForecastBatch) -> tuple[Tensor, Tensor]:
        """Forecasts in scaled units, from all of a batch but its future.

        Returns:
            The point forecast `(batch, channels, horizon)` and the quantiles `(batch, channels, horizon, levels)`.
        """
        found = self.closed_form(batch)
        point, offsets = found.linear + found.ahead, self.quantiles
        if self.residual is not None:
            added, moved = self.residual(found, batch)
            # Its quantiles are random at first, so that the encoder learns from them before its gate opens.
            self.learning |= self.training
            moved = moved * self.learning.clone()  # a second pass before the gradient writes it again
            # In units of the past with its cycle, which one unusual week changes little.
            size = batch.past.std(-1, keepdim=True) + 1e-2
            point, offsets = point + size * added, offsets + moved
        # Quantiles follow the point and leave it alone.
        return point, point.detach().unsqueeze(-1) + found.spread.unsqueeze(-1) * offsets


@dataclass
class ClosedForm:
    """What needs no encoder.

    Attributes:
        x: Past less its cycle, `(batch, channels, look_back)`.
        spread: Of x, `(batch, channels, 1)`.
        linear: Linear forecast of what follows x, `(batch, channels, horizon)`.
        ahead: The cycle of these steps, `(batch, channels, horizon)`.
    """

    x: Tensor
    spread: Tensor
    linear: Tensor
    ahead: Tensor


class Residual(nn.Module):
    """What the encoder adds to the linear forecast.

    It reads patches of the past, brought to mean 0 and spread 1 (RevIN, Kim et al. 2022), and behind them patches of the
    steps to be forecast, filled with the linear forecast and all that is known of them ahead. Calendar and linear forecast of
    a single step also make up a small vector of it, and what a token says of a step is its product with that vector: so
    a holiday that begins anywhere in a patch is one thing to learn and not one for each place.

    Args:
        config: The whole run's.
        facts: Of the series.
    """

    def __init__(self, config: TrainConfig, facts: ForecastingFacts) -> None:
        super().__init__()
        options, dim = config.task, config.encoder.dim
        assert isinstance(options, ForecastingTaskConfig)
        self.patch, self.mixing, self.calendar = options.patch, options.channels is Channels.mixing, options.calendar
        self.look_back, self.horizon, self.gaps = facts.look_back, facts.horizon, facts.gaps
        patch, levels, channels = options.patch, 1 + len(options.quantiles), len(facts.names)
        known = facts.num_known * options.calendar
        self.past_patches, self.future_patches = math.ceil(facts.look_back / patch), math.ceil(facts.horizon / patch)
        self.width = dim // 2
        self.read_past = nn.Linear(patch * (1 + facts.gaps), dim)
        self.read_future = nn.Linear(patch, dim)
        self.read_observed = nn.Linear(patch * facts.num_observed, dim) if facts.num_observed else None
        self.read_known = nn.Linear(patch * known, dim) if known else None
        self.read_level = nn.Linear(2, dim)
        self.step = nn.Sequential(nn.Linear(known + 2, dim), nn.GELU(), nn.Linear(dim, self.width), nn.GELU())
        self.read_step = nn.Linear(patch * self.width, dim)
        self.name = nn.Embedding(channels, dim) if channels > 1 else None
        if self.name is not None:
            nn.init.normal_(self.name.weight, std=0.02)
        self.dropout = nn.Dropout(config.regularization.dropout)
        self.encoder = Encoder(config.encoder, config.attention, config.regularization)
        self.write = nn.Linear(dim, patch * levels)
        self.write_step = nn.Linear(dim, self.width * levels)
        self.gate = nn.Parameter(torch.zeros(facts.horizon))

    def forward(self, found: ClosedForm, batch: ForecastBatch) -> tuple[Tensor, Tensor]:
        """What to add to the linear forecast, and how far quantiles move.

        Args:
            found: Past less its cycle, cycle and linear forecast.
            batch: Covariates and gaps.

        Returns:
            Behind a gate that begins shut `(batch, channels, horizon)`, and `(batch, channels, horizon, levels)`.
        """
        x, spread = found.x, found.spread
        channels, mean = x.size(1), x.mean(-1, keepdim=True)
        past = ((x - mean) / spread).unsqueeze(-1)
        future = ((found.linear - mean) / spread).detach().unsqueeze(-1)
        if self.gaps:
            past = torch.cat([past, ~batch.real[..., : self.look_back, None]], -1)
        # Covariates are the same for all channels: they are read once.
        known = (batch.known if self.calendar else batch.known[..., :0]).unsqueeze(1)
        known_past, known_future = known.split([self.look_back, self.horizon], 2)
        of_step = [future, found.ahead.detach().unsqueeze(-1), known_future.expand(-1, channels, -1, -1)]
        step = self.step(torch.cat(of_step, -1))
        read_past = self.read_past(self._patches(past, front=True))
        if self.read_observed is not None:
            read_past = read_past + self.read_observed(self._patches(batch.observed.unsqueeze(1), front=True))
        steps = self._patches(step, front=False)
        read_future = self.read_future(self._patches(future, front=False)) + self.read_step(steps)
        tokens = torch.cat([read_past, read_future], 2)
        if self.read_known is not None:
            patches = [self._patches(known_past, front=True), self._patches(known_future, front=False)]
            tokens = tokens + self.read_known(torch.cat(patches, 2))
        tokens = tokens + self.read_level(torch.cat([mean, spread.log()], -1)).unsqueeze(2)
        if self.name is not None:
            tokens = tokens + self.name.weight.unsqueeze(1)
        read = self._encoded(self.dropout(tokens))[:, :, self.past_patches :]
        by_place = self.write(read).unflatten(-1, (self.patch, -1))
        by_step = steps.unflatten(-1, (self.patch, -1)) @ self.write_step(read).unflatten(-1, (self.width, -1))
        written = (by_place + by_step * self.width**-0.5).flatten(2, 3)[:, :, : self.horizon]
        return self.gate * written[..., 0], written[..., 1:]

    def told(self, found: ClosedForm, real: Tensor) -> ReconstructionTarget:
        """What the encoder reads of the past, patch by patch; what it reads of the future it was forecast.

        Args:
            found: Past less its cycle.
            real: True where a value was measured, `(batch, channels, look_back)`.
        """
        past = (found.x - found.x.mean(-1, keepdim=True)) / found.spread
        behind = (0, 0, 0, self.future_patches)
        values = F.pad(self._patches(past.detach().unsqueeze(-1), front=True), behind)
        known = F.pad(self._patches(real.unsqueeze(-1), front=True), behind)
        tokens = (1, 2) if self.mixing else (0, 1)
        return ReconstructionTarget(values.flatten(*tokens), known.flatten(*tokens))

    def _encoded(self, tokens: Tensor) -> Tensor:
        """Tokens `(batch, channels, length, dim)` that have seen each other, or those of all channels."""
        channels, length = tokens.shape[1:3]
        if not self.mixing:
            return self.encoder(tokens.flatten(0, 1)).unflatten(0, (-1, channels))
        # One channel is a plain row, as None says.
        positions = torch.arange(length, device=tokens.device).repeat(channels) if channels > 1 else None
        return self.encoder(tokens.flatten(1, 2), positions).unflatten(1, (channels, length))

    def _patches(self, x: Tensor, front: bool) -> Tensor:
        """Steps `(batch, channels, steps, numbers)` as patches `(batch, channels, patches, patch * numbers)`.

        What the first or the last patch lacks is the first or the last step again.
        """
        lacking = -x.size(2) % self.patch
        if lacking:
            edge = (x[:, :, :1] if front else x[:, :, -1:]).expand(-1, -1, lacking, -1)
            x = torch.cat([edge, x] if front else [x, edge], 2)
        return x.unflatten(2, (-1, self.patch)).flatten(3)

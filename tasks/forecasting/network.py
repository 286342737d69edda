"""The forecaster: ridge, cycle and encoder, each a part of one sum."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.nn import Encoder
from tasks.forecasting.config import Channels, ForecastingTaskConfig
from tasks.forecasting.data import ForecastingFacts
from tasks.forecasting.ridge import Ridge


class Forecaster(nn.Module):
    """Past in, point forecast and quantiles out.

        x = past - cycle         linear = (x - centre) W + centre            the ridge solution at first
        residual = gate * spread * encoder([patches of x, patches of linear], calendar)       gate = 0 at first
        forecast = linear + residual + cycle

    The encoder reads the past as tokens of `task.patch` steps, brought to mean 0 and spread 1 (RevIN, Kim et al. 2022), and
    behind them the steps to be forecast, filled with the linear forecast and what is known of them ahead.

    Args:
        config: The whole run's.
        facts: Of the series.
    """

    def __init__(self, config: TrainConfig, facts: ForecastingFacts) -> None:
        super().__init__()
        options, dim = config.task, config.encoder.dim
        assert isinstance(options, ForecastingTaskConfig)
        self.options, self.facts = options, facts
        look_back, horizon, patch, channels = facts.look_back, facts.horizon, options.patch, len(facts.names)
        self.weight = nn.Parameter(torch.zeros(look_back, horizon)) if options.linear else None
        self.last: Tensor
        self.register_buffer("last", torch.tensor(True))
        self.cycle = nn.Parameter(torch.zeros(facts.period, channels)) if options.cycle else None
        self.past_patches, self.future_patches = math.ceil(look_back / patch), math.ceil(horizon / patch)
        self.quantiles = nn.Parameter((torch.tensor(options.quantiles) - 0.5).repeat(horizon, 1))
        if not options.residual:
            return
        known = facts.num_known * options.calendar
        self.read_past = nn.Linear(patch * (1 + facts.num_observed), dim)
        self.read_future = nn.Linear(patch, dim)
        self.read_known = nn.Linear(patch * known, dim) if known else None
        self.read_level = nn.Linear(2, dim)
        self.name = nn.Embedding(channels, dim) if channels > 1 else None
        if self.name is not None:
            nn.init.normal_(self.name.weight, std=0.02)
        self.encoder = Encoder(config.encoder, config.attention, config.regularization)
        self.dropout = nn.Dropout(config.regularization.dropout)
        self.write = nn.Linear(dim, patch * (1 + len(options.quantiles)))
        self.gate = nn.Parameter(torch.zeros(horizon))

    @torch.no_grad()
    def begin(self, ridge: Ridge, profile: np.ndarray) -> None:
        """Puts the closed-form solution in place.

        Args:
            ridge: Fitted on what is left when the profile is taken out.
            profile: Of the cycle, `(period, channels)`; zeros where there is none.
        """
        if self.weight is not None:
            self.weight.copy_(torch.from_numpy(ridge.weight))
        self.last.fill_(ridge.last)
        if self.cycle is not None:
            self.cycle.copy_(torch.from_numpy(profile))

    def forward(self, past: Tensor, known: Tensor, observed: Tensor, phase: Tensor) -> tuple[Tensor, Tensor]:
        """Forecasts in scaled units.

        Args:
            past: `(batch, channels, look_back)`.
            known: `(batch, look_back + horizon, num_known)`.
            observed: `(batch, look_back, num_observed)`.
            phase: Place in the cycle of the first step, `(batch,)`.

        Returns:
            The point forecast `(batch, channels, horizon)` and the quantiles `(batch, channels, horizon, levels)`.
        """
        look_back, horizon = self.facts.look_back, self.facts.horizon
        if self.cycle is not None:
            steps = (phase.unsqueeze(1) + torch.arange(look_back + horizon, device=past.device)) % self.facts.period
            cycle = self.cycle[steps].transpose(1, 2)
            past = past - cycle[..., :look_back]
        middle = torch.where(self.last, past[..., -1:], past.mean(-1, keepdim=True))
        linear = middle.expand(-1, -1, horizon)
        if self.weight is not None:
            linear = (past - middle) @ self.weight + middle
        spread = past.std(-1, keepdim=True) + 1e-2
        point = linear
        offsets: Tensor = self.quantiles
        if self.options.residual:
            written = self._residual(past, linear, known, observed, spread)
            point = linear + self.gate * spread * written[..., 0]
            offsets = offsets + written[..., 1:]
        quantiles = point.detach().unsqueeze(-1) + spread.unsqueeze(-1) * offsets
        if self.cycle is not None:
            ahead = cycle[..., look_back:]
            point, quantiles = point + ahead, quantiles + ahead.detach().unsqueeze(-1)
        return point, quantiles

    def _residual(self, past: Tensor, linear: Tensor, known: Tensor, observed: Tensor, spread: Tensor) -> Tensor:
        """What the encoder adds, `(batch, channels, horizon, 1 + levels)`."""
        batch, channels, _ = past.shape
        mean = past.mean(-1, keepdim=True)
        patch = self.options.patch
        x = self._patches((past - mean) / spread, front=True)
        if self.facts.num_observed:
            weather = self._patches(observed.transpose(1, 2), front=True).transpose(1, 2).flatten(2)
            x = torch.cat([x, weather.unsqueeze(1).expand(-1, channels, -1, -1)], -1)
        y = self._patches((linear - mean) / spread, front=False)
        tokens = torch.cat([self.read_past(x), self.read_future(y)], 2)
        if self.read_known is not None:
            look_back = self.facts.look_back
            ahead = known.transpose(1, 2)
            both = [self._patches(ahead[..., :look_back], True), self._patches(ahead[..., look_back:], False)]
            tokens = tokens + self.read_known(torch.cat(both, 2).transpose(1, 2).flatten(2)).unsqueeze(1)
        tokens = tokens + self.read_level(torch.cat([mean, spread.log()], -1)).unsqueeze(2)
        if self.name is not None:
            tokens = tokens + self.name.weight.unsqueeze(1)
        length = tokens.size(2)
        tokens = self.dropout(tokens)
        if self.options.channels is Channels.mixing:
            positions = torch.arange(length, device=past.device).repeat(channels)
            read = self.encoder(tokens.flatten(1, 2), positions).view(batch, channels, length, -1)
        else:
            read = self.encoder(tokens.flatten(0, 1)).view(batch, channels, length, -1)
        written = self.write(read[:, :, self.past_patches :])
        written = written.unflatten(-1, (patch, -1)).flatten(2, 3)
        return written[:, :, : self.facts.horizon]

    def _patches(self, x: Tensor, front: bool) -> Tensor:
        """Steps as patches, `(batch, series, patches, patch)`; what is missing is repeated at the front or the end."""
        lacking = -x.size(-1) % self.options.patch
        x = F.pad(x, (lacking, 0) if front else (0, lacking), mode="replicate") if lacking else x
        return x.unflatten(-1, (-1, self.options.patch))

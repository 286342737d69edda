"""From windows to tokens: patches of the past and of the steps to be forecast; ridge and cycle beside the encoder."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import Channels, TrainConfig, WindowNetworkOptions
from mla_train.modalities.base import Embedding, ModalityFeatures
from mla_train.modalities.series.spec import SeriesSpec, SeriesTensors
from mla_train.nn import ReconstructionInput, ReconstructionTarget

SLOW = 0.01  # what starts as a closed-form solution moves this much as fast as the rest


class SlowMatrix(nn.Module):
    """A matrix that starts as a closed-form solution, and that training moves slowly."""

    start: Tensor

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.register_buffer("start", torch.zeros(rows, columns))
        self.weight = nn.Parameter(torch.zeros(rows, columns))

    def forward(self) -> Tensor:
        """`(rows, columns)`."""
        return self.start + SLOW * self.weight


@dataclass
class WindowContext:
    """What a forecast needs beside the encoder's tokens.

    Attributes:
        x: Past without its cycle, `(batch, channels, look_back)`.
        past_cycle: The cycle in the past, `(batch, channels, look_back)`.
        spread: Standard deviation of x, `(batch, channels, 1)`.
        linear: Linear forecast of what follows x, `(batch, channels, horizon)`.
        cycle: The cycle in the steps to be forecast, `(batch, channels, horizon)`.
        size: Standard deviation of the past with its cycle, `(batch, channels, 1)`, which one unusual week changes little.
        steps: Vectors of the steps to be forecast, patch by patch, `(batch, channels, patches, patch * step_dim)`; None
            without encoder.
    """

    x: Tensor
    past_cycle: Tensor
    spread: Tensor
    linear: Tensor
    cycle: Tensor
    size: Tensor
    steps: Tensor | None = None


class WindowEmbedding(Embedding):
    """Tokens of windows.

        x        = past - cycle                         cycle: the mean of each place in the training rows, at first
        linear   = (x - mean) W + mean                  W: the ridge regression of the training windows, at first

    Tokens are patches of x with mean 0 and standard deviation 1 (RevIN, Kim et al. 2022), and behind them patches of the
    steps to be forecast: the linear forecast and all that is known of them ahead. Calendar and linear forecast of a single
    step also make up a small vector of it, and the head multiplies what a token says with that vector: so a holiday that
    begins anywhere in a patch is one thing to learn, and not one for each place.
    """

    static: Tensor

    def __init__(self, config: TrainConfig, spec: SeriesSpec) -> None:
        super().__init__()
        options: Any = config.task
        assert isinstance(config.task, WindowNetworkOptions)
        dim = config.encoder.dim
        self.spec, self.calendar = spec, options.calendar
        self.patch = self.reconstruction_size = options.patch
        self.mixing, self.use_encoder = options.channels is Channels.mixing, getattr(options, "use_encoder", True)
        patch, channels = options.patch, len(spec.names)
        known = spec.num_known * options.calendar
        self.past_patches, self.future_patches = math.ceil(spec.look_back / patch), math.ceil(spec.horizon / patch)
        self.step_dim = dim // 2
        self.side_paths = nn.ModuleDict()
        if getattr(options, "side_paths", True):
            if options.ridge:
                self.side_paths["ridge"] = SlowMatrix(spec.look_back, spec.horizon)
            if options.cycle:
                self.side_paths["cycle"] = SlowMatrix(spec.period, channels)
        if not self.use_encoder:
            return
        self.read_past = nn.Linear(patch * (1 + spec.gaps), dim)
        self.read_future = nn.Linear(patch, dim)
        self.read_observed = nn.Linear(patch * len(spec.observed), dim) if spec.observed else None
        self.read_known = nn.Linear(patch * known, dim) if known else None
        self.read_level = nn.Linear(2, dim)
        self.step = nn.Sequential(nn.Linear(known + 2, dim), nn.GELU(), nn.Linear(dim, self.step_dim), nn.GELU())
        self.read_step = nn.Linear(patch * self.step_dim, dim)
        self.name = nn.Embedding(channels, dim) if channels > 1 else None
        if self.name is not None:
            nn.init.normal_(self.name.weight, std=0.02)
        self.register_buffer("static", torch.tensor(spec.static), persistent=False)
        self.read_static = nn.Linear(self.static.size(1), dim) if spec.static else None

    def forward(self, tensors: SeriesTensors) -> ModalityFeatures:
        """Tokens `(batch * channels, length, dim)`, or `(batch, channels * length, dim)` where series are mixed."""
        context = self.closed_form(tensors)
        if not self.use_encoder:
            return ModalityFeatures(None, context=context)
        tokens, steps = self._tokens(tensors, context)
        context = replace(context, steps=steps)
        channels, length = tokens.shape[1:3]
        if not self.mixing:
            return ModalityFeatures(tokens.flatten(0, 1), context=context)
        # A single series has the usual positions.
        positions = torch.arange(length, device=tokens.device).repeat(channels) if channels > 1 else None
        return ModalityFeatures(tokens.flatten(1, 2), positions=positions, context=context)

    def closed_form(self, tensors: SeriesTensors) -> WindowContext:
        """Cycle and linear forecast."""
        past, horizon = tensors.past, self.spec.horizon
        cycle, ahead = self.cycle(tensors)
        x = past - cycle
        linear = x[..., -1:].expand(-1, -1, horizon)
        if "ridge" in self.side_paths:
            mean = x.mean(-1, keepdim=True)
            linear = (x - mean) @ self.side_paths["ridge"]() + mean
        spread, size = (part.std(-1, keepdim=True) + 1e-2 for part in (x, past))
        return WindowContext(x, cycle, spread, linear, ahead, size)

    def cycle(self, tensors: SeriesTensors) -> tuple[Tensor, Tensor]:
        """The cycle in the past and in the steps to be forecast, `(batch, channels, steps)`; zeros without its path."""
        past, lengths = tensors.past, [self.spec.look_back, self.spec.horizon]
        if "cycle" not in self.side_paths:
            return torch.zeros_like(past), past.new_zeros(*past.shape[:2], self.spec.horizon)
        steps = tensors.phase.unsqueeze(1) + torch.arange(sum(lengths), device=past.device)
        whole = self.side_paths["cycle"]()[steps % self.spec.period].transpose(1, 2)
        past_cycle, ahead = whole.split(lengths, -1)
        return past_cycle, ahead

    def _tokens(self, tensors: SeriesTensors, context: WindowContext) -> tuple[Tensor, Tensor]:
        """Tokens `(batch, channels, length, dim)`, and the vectors of the steps to be forecast."""
        x, spread = context.x, context.spread
        channels, mean = x.size(1), x.mean(-1, keepdim=True)
        past = ((x - mean) / spread).unsqueeze(-1)
        future = ((context.linear - mean) / spread).detach().unsqueeze(-1)
        if self.spec.gaps:
            past = torch.cat([past, ~tensors.real.unsqueeze(-1)], -1)
        known = tensors.known if self.calendar else tensors.known[..., :0]
        known_past, known_future = known.split([self.spec.look_back, self.spec.horizon], 2)
        parts = [future, context.cycle.detach().unsqueeze(-1), known_future.expand(-1, channels, -1, -1)]
        steps = self._patches(self.step(torch.cat(parts, -1)), front=False)
        read_past = self.read_past(self._patches(past, front=True))
        if self.read_observed is not None:
            read_past = read_past + self.read_observed(self._patches(tensors.observed, front=True))
        read_future = self.read_future(self._patches(future, front=False)) + self.read_step(steps)
        tokens = torch.cat([read_past, read_future], 2)
        if self.read_known is not None:
            patches = [self._patches(known_past, front=True), self._patches(known_future, front=False)]
            tokens = tokens + self.read_known(torch.cat(patches, 2))
        tokens = tokens + self.read_level(torch.cat([mean, spread.log()], -1)).unsqueeze(2)
        if self.read_static is not None:
            tokens = tokens + self.read_static(self.static).unsqueeze(1)
        return (tokens if self.name is None else tokens + self.name.weight.unsqueeze(1)), steps

    def _patches(self, x: Tensor, front: bool) -> Tensor:
        """Steps `(batch, channels, steps, numbers)` as patches `(batch, channels, patches, patch * numbers)`.

        What the first or the last patch lacks is the first or the last step again.
        """
        lacking = -x.size(2) % self.patch
        if lacking:
            edge = (x[:, :, :1] if front else x[:, :, -1:]).expand(-1, -1, lacking, -1)
            x = torch.cat([edge, x] if front else [x, edge], 2)
        return x.unflatten(2, (-1, self.patch)).flatten(3)

    @torch.no_grad()
    def set_closed_form(self, weight: np.ndarray | None, profile: np.ndarray | None) -> None:
        """Sets where the side paths start.

        Args:
            weight: Solution of the ridge regression, `(look_back, horizon)`.
            profile: Mean at each place of the cycle, `(period, channels)`.
        """
        for name, values in (("ridge", weight), ("cycle", profile)):
            if name in self.side_paths and values is not None:
                path: Any = self.side_paths[name]
                path.start.copy_(torch.from_numpy(values))

    def reconstruction_input(self) -> ReconstructionInput:
        """Windows without their cycle, of mean 0 and deviation 1."""
        return ReconstructionInput(self.reconstruction_size, self._standardized_target)

    def _standardized_target(self, tensors: SeriesTensors) -> ReconstructionTarget:
        context = self.closed_form(tensors)
        past = (context.x - context.x.mean(-1, keepdim=True)) / context.spread
        return ReconstructionTarget(self.cut(past.detach()), self.cut(tensors.real))

    def reconstruction_target(self, tensors: SeriesTensors) -> ReconstructionTarget:
        """Steps of the past that were measured, each once, scaled by the training rows."""
        real = F.pad(tensors.real, (-self.spec.look_back % self.patch, 0))
        return ReconstructionTarget(self.cut(tensors.past), self.cut(real))

    def scale_of(self, features: ModalityFeatures) -> tuple[Tensor, Tensor]:
        """Cycle and mean, and standard deviation, of the past of each window."""
        context: WindowContext = features.context
        mean = context.past_cycle + context.x.mean(-1, keepdim=True)
        return self.cut(mean), self.cut(context.spread.expand_as(mean))

    def hide(self, tensors: SeriesTensors, hidden: Tensor) -> SeriesTensors:
        """Windows whose hidden steps are gaps.

        Without the cycle they hold the last visible value before them, or else the first one behind them. So do gaps, which held a value that may be hidden now. A series of which nothing is visible is its cycle, or 0. What is
        observed together with the series is hidden, too.
        """
        steps = self.join(hidden.unsqueeze(-1).expand(-1, -1, self.patch))
        visible = tensors.real & ~steps
        places = torch.arange(self.spec.look_back, device=visible.device)
        last = torch.where(visible, places, -1).cummax(-1).values
        first = visible.to(torch.uint8).argmax(-1, keepdim=True)
        cycle, _ = self.cycle(tensors)
        x = (tensors.past - cycle).gather(-1, torch.where(last < 0, first, last))
        past = cycle + x.masked_fill(~visible.any(-1, keepdim=True), 0)
        observed = tensors.observed.masked_fill(steps.unsqueeze(-1), 0)
        return replace(tensors, past=past, real=visible, observed=observed)

    def cut(self, values: Tensor) -> Tensor:
        """Steps of the past as patches, and zeros as those of the steps to be forecast; see `forward`."""
        patches = F.pad(self._patches(values.unsqueeze(-1), front=True), (0, 0, 0, self.future_patches))
        return patches.flatten(*((1, 2) if self.mixing else (0, 1)))

    def join(self, values: Tensor) -> Tensor:
        """Patches as steps of the past, `(batch, channels, look_back)`."""
        length = self.past_patches + self.future_patches
        past = values.reshape(-1, len(self.spec.names), length, self.patch)[:, :, : self.past_patches]
        return past.flatten(2)[..., -self.spec.look_back :]

    def count_tokens(self, tensors: SeriesTensors) -> int:
        """Number of patches."""
        patches = self.past_patches + self.future_patches if self.use_encoder else 1
        return tensors.past.size(0) * len(self.spec.names) * patches

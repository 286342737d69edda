"""Which tokens look at which: windows, strides, the highest scores.

A pattern belongs to some heads of a layer. It knows its mask, and where tokens stand in a plain row it has a way to do
without the scores that the mask would hide. Both give the same output.
"""

from dataclasses import dataclass
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.config import AttentionConfig, Pattern
from mla_train.nn.kernel import flash


@dataclass(frozen=True)
class Global:
    """All look at all."""

    def mask(self, length: int, positions: Tensor | None, device: torch.device) -> Tensor | None:
        """True where a token may look, `(length, length)`; None is everywhere.

        Args:
            length: Number of tokens.
            positions: Where they stand, `(length,)` or `(length, 2)`; None is a plain row.
            device: Where the mask is made.

        Raises:
            ValueError: Positions differ from example to example.
        """
        return None

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        mask: Tensor | None,
        is_causal: bool,
        positions: Tensor | None,
    ) -> Tensor:
        """Dot-product attention that keeps to the pattern; the arguments are those of `kernel.attend`."""
        own = self.mask(query.size(2), positions, query.device)
        if own is None:
            return flash(query, key, value, scale, mask, is_causal)
        if is_causal:
            own = own.tril()
        return flash(query, key, value, scale, own if mask is None else own & mask)


@dataclass(frozen=True)
class Window(Global):
    """Tokens look at those at most `window` steps away (Beltagy et al. 2020, arXiv 2004.05150).

    In pictures a step is to one of eight neighbours. A token at a negative position, such as a class token, sees and is
    seen by all. Cost in a plain row: at most length * 3 * max(window, 32) scores a head instead of length².

    Attributes:
        window: Steps to each side.
    """

    window: int

    def mask(self, length: int, positions: Tensor | None, device: torch.device) -> Tensor:
        """See `Global.mask`."""
        places = stand(length, positions, device)
        near = (places.unsqueeze(1) - places.unsqueeze(0)).abs().amax(-1) <= self.window
        return near | everywhere(places)

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        mask: Tensor | None,
        is_causal: bool,
        positions: Tensor | None,
    ) -> Tensor:
        """See `Global.attend`; blocks of queries look at their own block of keys and at its two neighbours."""
        block, length = max(self.window, 32), query.size(2)
        if positions is not None or not of_keys(mask, is_causal) or length <= 4 * block:
            return super().attend(query, key, value, scale, mask, is_causal, positions)
        batch, heads, _, _ = query.shape
        count = -(-length // block)
        rest = count * block - length
        if mask is None:
            mask = torch.ones(1, 1, 1, length, dtype=torch.bool, device=query.device)
        mask = F.pad(mask, (block, rest + block)).unfold(-1, 3 * block, block)  # (batch | 1, heads | 1, 1, count, keys)
        steps = torch.arange(3 * block, device=query.device) - block
        band = (steps - torch.arange(block, device=query.device).unsqueeze(1)).abs() <= self.window
        mask = mask.transpose(2, 3) & band  # (batch | 1, heads | 1, count, queries, keys)
        key, value = (
            F.pad(x, (0, 0, block, rest + block)).unfold(2, 3 * block, block).transpose(-1, -2) for x in (key, value)
        )
        query = F.pad(query, (0, 0, 0, rest)).unflatten(2, (count, block))
        # Blocks go beside the examples: (batch * count, heads, block, ...).
        query, key, value = (x.transpose(1, 2).flatten(0, 1) for x in (query, key, value))
        mask = mask.transpose(1, 2).expand(batch, -1, -1, -1, -1).flatten(0, 1)
        found = flash(query, key, value, scale, mask).unflatten(0, (batch, count))
        return found.transpose(1, 2).reshape(batch, heads, count * block, -1)[:, :, :length]


@dataclass(frozen=True)
class Strided(Global):
    """Tokens look along the rows or the columns of a grid (the factorised heads of Child et al. 2019, arXiv 1904.10509).

    A picture is a grid; a sequence is laid in rows of `stride` tokens: row heads then look at a block, column heads at
    each `stride`-th token, and two layers see everything. Cost in a plain row: length * stride or length² / stride
    scores a head, least of all for a stride of sqrt(length).

    Attributes:
        axis: 0 looks along rows, 1 along columns.
        stride: Length of a row; None is a picture's own, else sqrt(length).
    """

    axis: int
    stride: int | None

    def mask(self, length: int, positions: Tensor | None, device: torch.device) -> Tensor:
        """See `Global.mask`."""
        places = stand(length, positions, device)
        line = self._grid(places)[self.axis]
        return (line.unsqueeze(1) == line.unsqueeze(0)) | everywhere(places)

    def _grid(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column of each token, `(length,)` each."""
        if places.size(1) == 2 and self.stride is None and bool(places[:, 0].any()):
            return places[:, 0], places[:, 1]
        steps = places[:, 0] if places.size(1) == 1 else torch.arange(len(places), device=places.device)
        stride = self._stride(int(steps.max()) + 1)
        return steps.div(stride, rounding_mode="floor"), steps % stride

    def _stride(self, length: int) -> int:
        return self.stride or max(1, isqrt(length))

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        mask: Tensor | None,
        is_causal: bool,
        positions: Tensor | None,
    ) -> Tensor:
        """See `Global.attend`; rows or columns become examples of their own."""
        if positions is not None or not of_keys(mask, is_causal):
            return super().attend(query, key, value, scale, mask, is_causal, positions)
        batch, heads, length, _ = query.shape
        stride = self._stride(length)
        rest = -length % stride
        if mask is None and rest:
            mask = torch.ones(1, 1, 1, length, dtype=torch.bool, device=query.device)

        def lines(x: Tensor) -> Tensor:  # (batch, heads, length, width) to (batch * lines, heads, tokens, width)
            x = F.pad(x, (0, 0, 0, rest)).unflatten(2, (-1, stride))
            return (x if self.axis == 0 else x.transpose(2, 3)).transpose(1, 2).flatten(0, 1)

        if mask is not None:
            mask = lines(mask.transpose(2, 3).expand(batch, -1, -1, -1)).transpose(2, 3)
        found = flash(lines(query), lines(key), lines(value), scale, mask).unflatten(0, (batch, -1)).transpose(1, 2)
        found = found if self.axis == 0 else found.transpose(2, 3)
        return found.reshape(batch, heads, length + rest, -1)[:, :, :length]


@dataclass(frozen=True)
class TopK(Global):
    """Each query keeps its highest scores only (Zhao et al. 2019, arXiv 1912.11637; Gupta et al. 2021, arXiv 2106.06899).

    Cost: that of all scores, which must be seen to be chosen from; nothing is saved.

    Attributes:
        keep: How many.
    """

    keep: int


def head_patterns(config: AttentionConfig, num_heads: int) -> list[Global]:
    """The pattern of each head.

    Args:
        config: `pattern` and what belongs to it.
        num_heads: Heads of the layer; `local_global` and `strided` give each half of them something else.

    Raises:
        ValueError: There are not heads enough.
    """
    first, second = num_heads // 2, num_heads - num_heads // 2
    if config.pattern in (Pattern.local_global, Pattern.strided) and not first:
        raise ValueError(
            f"attention.pattern={config.pattern.name} needs two heads or more: raise encoder.num_heads or choose "
            "attention.pattern=window"
        )
    match config.pattern.name:
        case "window":
            return [Window(config.window)] * num_heads
        case "local_global":
            return [*[Window(config.window)] * first, *[Global()] * second]
        case "strided":
            return [*[Strided(0, config.stride)] * first, *[Strided(1, config.stride)] * second]
        case "topk":
            return [TopK(config.topk)] * num_heads
    return [Global()] * num_heads


def stand(length: int, positions: Tensor | None, device: torch.device) -> Tensor:
    """Where tokens stand, `(length, axes)`.

    Raises:
        ValueError: Positions differ from example to example.
    """
    if positions is None:
        return torch.arange(length, device=device).unsqueeze(-1)
    places = positions.unsqueeze(-1) if positions.dim() == 1 else positions
    if places.dim() != 2 or places.size(-1) > 2:
        raise ValueError("patterns of attention need the same positions for all examples: (length,) or (length, 2)")
    return places


def everywhere(places: Tensor) -> Tensor:
    """True for who sees and is seen by all: tokens at negative positions. `(length, axes)` to `(length, length)`."""
    special = (places < 0).any(-1)
    return special.unsqueeze(1) | special.unsqueeze(0)


def of_keys(mask: Tensor | None, is_causal: bool) -> bool:
    """Whether a mask is the same for all queries."""
    return not is_causal and (mask is None or mask.size(2) == 1)

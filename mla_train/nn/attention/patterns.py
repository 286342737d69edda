"""Which keys a query may attend to: windows, strides, the highest scores.

A pattern belongs to some heads of a layer. It has a mask, and for a sequence that counts from 0 a way to avoid computing
the scores that the mask would hide. Both give the same output.
"""

from dataclasses import dataclass
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.config import AttentionConfig, Pattern
from mla_train.nn.attention.sdpa import KeyMask, attend


@dataclass(frozen=True)
class Global:
    """Every token attends to all tokens."""

    def mask(self, length: int, positions: Tensor | None, device: torch.device) -> Tensor | None:
        """True where a token may attend, `(length, length)`; None allows all.

        Args:
            length: Number of tokens.
            positions: Positions of tokens, `(length,)` or `(length, 2)`; None counts from 0.
            device: Device of the mask.

        Raises:
            ValueError: Positions differ between examples.
        """
        return None

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, key_mask: KeyMask) -> Tensor:
        """Dot-product attention under the pattern, see `sdpa.attend`."""
        mask, is_causal, positions = key_mask
        own = self.mask(query.size(2), positions, query.device)
        if own is None:
            return attend(query, key, value, scale, mask, is_causal)
        if is_causal:
            own = own.tril()
        return attend(query, key, value, scale, own if mask is None else own & mask)


@dataclass(frozen=True)
class Window(Global):
    """Tokens attend to those at most `window` steps away (Beltagy et al. 2020, arXiv 2004.05150).

    In images a step goes to one of eight neighbours. A token at a negative position, such as a class token, attends to all
    tokens and all attend to it. Cost in a sequence: at most length * 3 * max(window, 32) scores a head instead of length².

    Attributes:
        window: Number of steps to each side.
    """

    window: int

    def mask(self, length: int, positions: Tensor | None, device: torch.device) -> Tensor:
        """See `Global.mask`."""
        cells = token_positions(length, positions, device)
        near = (cells.unsqueeze(1) - cells.unsqueeze(0)).abs().amax(-1) <= self.window
        return near | is_global(cells)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, key_mask: KeyMask) -> Tensor:
        """See `Global.attend`; blocks of queries attend to their own block of keys and its two neighbours."""
        block, length = max(self.window, 32), query.size(2)
        if not counts_from_zero(key_mask) or length <= 4 * block:
            return super().attend(query, key, value, scale, key_mask)
        batch, heads, _, _ = query.shape
        count = -(-length // block)
        rest = count * block - length
        mask = key_mask.mask
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
        output = attend(query, key, value, scale, mask).unflatten(0, (batch, count))
        return output.transpose(1, 2).reshape(batch, heads, count * block, -1)[:, :, :length]


@dataclass(frozen=True)
class Strided(Global):
    """Tokens attend along the rows or the columns of a grid (the factorised heads of Child et al. 2019, arXiv 1904.10509).

    An image is a grid; a sequence is cut into rows of `stride` tokens: row heads then attend to a block, column heads to
    each `stride`-th token, and two layers reach everything. Cost in a sequence: length * stride or length² / stride
    scores a head, least for a stride of sqrt(length).

    Attributes:
        axis: 0 along rows, 1 along columns.
        stride: Length of a row; None is the width of an image, or sqrt(length) of a sequence.
    """

    axis: int
    stride: int | None

    def mask(self, length: int, positions: Tensor | None, device: torch.device) -> Tensor:
        """See `Global.mask`."""
        cells = token_positions(length, positions, device)
        line = self._grid(cells)[self.axis]
        return (line.unsqueeze(1) == line.unsqueeze(0)) | is_global(cells)

    def _grid(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column of each token, `(length,)` each."""
        if cells.size(1) == 2 and self.stride is None and bool(cells[:, 0].any()):
            return cells[:, 0], cells[:, 1]
        steps = cells[:, 0] if cells.size(1) == 1 else torch.arange(len(cells), device=cells.device)
        stride = self._stride(int(steps.max()) + 1)
        return steps.div(stride, rounding_mode="floor"), steps % stride

    def _stride(self, length: int) -> int:
        return self.stride or max(1, isqrt(length))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, key_mask: KeyMask) -> Tensor:
        """See `Global.attend`; rows or columns become examples."""
        if not counts_from_zero(key_mask):
            return super().attend(query, key, value, scale, key_mask)
        batch, heads, length, _ = query.shape
        stride = self._stride(length)
        rest, mask = -length % stride, key_mask.mask
        if mask is None and rest:
            mask = torch.ones(1, 1, 1, length, dtype=torch.bool, device=query.device)

        def lines(x: Tensor) -> Tensor:  # (batch, heads, length, width) to (batch * lines, heads, tokens, width)
            x = F.pad(x, (0, 0, 0, rest)).unflatten(2, (-1, stride))
            return (x if self.axis == 0 else x.transpose(2, 3)).transpose(1, 2).flatten(0, 1)

        if mask is not None:
            mask = lines(mask.transpose(2, 3).expand(batch, -1, -1, -1)).transpose(2, 3)
        output = attend(lines(query), lines(key), lines(value), scale, mask).unflatten(0, (batch, -1)).transpose(1, 2)
        output = output if self.axis == 0 else output.transpose(2, 3)
        return output.reshape(batch, heads, length + rest, -1)[:, :, :length]


@dataclass(frozen=True)
class TopK(Global):
    """Each query keeps its highest scores only (Zhao et al. 2019, arXiv 1912.11637; Gupta et al. 2021, arXiv 2106.06899).

    Cost: that of all scores, which are needed to choose from; nothing is saved.

    Attributes:
        keep: Number of keys that each query keeps.
    """

    keep: int


def head_patterns(config: AttentionConfig, num_heads: int) -> list[Global]:
    """The pattern of each head.

    Args:
        config: Pattern with its window, stride and topk.
        num_heads: Number of heads; `local_global` and `strided` give each half of them another pattern.

    Raises:
        ValueError: There are too few heads.
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


def token_positions(length: int, positions: Tensor | None, device: torch.device) -> Tensor:
    """Positions of tokens, `(length, axes)`.

    Raises:
        ValueError: Positions differ between examples.
    """
    if positions is None:
        return torch.arange(length, device=device).unsqueeze(-1)
    cells = positions.unsqueeze(-1) if positions.dim() == 1 else positions
    if cells.dim() != 2 or cells.size(-1) > 2:
        raise ValueError("attention patterns need the same positions for all examples: (length,) or (length, 2)")
    return cells


def is_global(cells: Tensor) -> Tensor:
    """True in the rows and columns of tokens at negative positions, `(length, axes)` to `(length, length)`."""
    special = (cells < 0).any(-1)
    return special.unsqueeze(1) | special.unsqueeze(0)


def counts_from_zero(key_mask: KeyMask) -> bool:
    """Whether tokens form a sequence that counts from 0, and all queries share one mask.

    An exported graph cannot choose by the length: it always masks.
    """
    mask, is_causal, positions = key_mask
    return (
        not torch.compiler.is_exporting()
        and positions is None
        and not is_causal
        and (mask is None or mask.size(2) == 1)
    )

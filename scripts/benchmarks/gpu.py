"""One GPU in bfloat16: training steps of encoders beside multi-head attention and torch's own, and decoding by kind of attention."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.decoding import LanguageModel, generation_speed
from benchmarks.ratios import Ratio, compare
from mla_train.config import AttentionConfig, AttentionKind, EncoderConfig, RegularizationConfig
from mla_train.errors import UserError
from mla_train.nn import Encoder

ENCODERS = {
    "small": EncoderConfig(dim=128, depth=4, num_heads=4),
    "base": EncoderConfig(dim=256, depth=6, num_heads=8),
    "width 1024, 12 blocks": EncoderConfig(dim=1024, depth=12, num_heads=16),
}
COMPILED = ("base", "width 1024, 12 blocks")
TOKENS, LENGTH = 65_536, 512
"""Tokens of a batch and of each of its sequences."""


def step(encoder: nn.Module, x: Tensor) -> None:
    """Forward and backward pass in bfloat16, waited for."""
    with torch.autocast("cuda", torch.bfloat16):
        loss = encoder(x).float().square().mean()
    loss.backward()
    torch.cuda.synchronize()


def product_with(flops: int) -> Callable[[], None]:
    """A square matrix product in bfloat16, as often as makes that many operations."""
    side = 8192
    left, right = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    rows = max(128, round(flops / (2 * side * side)))

    def call() -> None:
        remaining = rows
        while remaining > 0:
            torch.mm(left[: min(side, remaining)], right)
            remaining -= side
        torch.cuda.synchronize()

    return call


def train(rounds: int) -> Iterator[Ratio]:
    """Training steps of whole encoders."""
    for name, sizes in ENCODERS.items():
        x = torch.randn(TOKENS // LENGTH, LENGTH, sizes.dim, device="cuda")
        regularization = RegularizationConfig(dropout=0.0)
        ours: nn.Module = Encoder(sizes, AttentionConfig(), regularization).cuda()
        mha: nn.Module = Encoder(sizes, AttentionConfig(kind=AttentionKind.mha), regularization).cuda()
        hidden = round(sizes.mlp_ratio * sizes.dim)
        options: dict[str, Any] = {"activation": "gelu", "batch_first": True, "norm_first": True}
        layer = nn.TransformerEncoderLayer(sizes.dim, sizes.num_heads, hidden, 0.0, **options)
        peer: nn.Module = nn.TransformerEncoder(layer, sizes.depth, enable_nested_tensor=False).cuda()
        with FlopCounterMode(display=False) as counter:
            step(ours, x)
        product = product_with(counter.get_total_flops())
        own = partial(step, ours, x)
        for how in ("eager", "compiled") if name in COMPILED else ("eager",):
            if how == "compiled":
                for each in (ours, mha, peer):
                    each.compile()
            case = f"{name}, {TOKENS // 1024} k tokens, {how}"
            yield compare(("gpu train", case, "own mha"), own, partial(step, mha, x), rounds)
            yield compare(("gpu train", case, "nn.TransformerEncoder"), own, partial(step, peer, x), rounds)
            yield compare(("gpu train", case, "matrix products alone"), own, product, rounds)


def decode(sources: int, beams: int, lengths: tuple[int, ...]) -> Iterator[tuple[str, int, float, float]]:
    """Kind, length, tokens a second and GB of the cache of beam search by a decoder of the size of `base`."""
    memory = torch.randn(sources, 32, ENCODERS["base"].dim, device="cuda", dtype=torch.bfloat16)
    for kind in (AttentionKind.mla, AttentionKind.mha):
        model = LanguageModel(kind, ENCODERS["base"]).cuda().bfloat16().eval()
        with torch.inference_mode():
            generation_speed(model, memory[:2], True, 8, beams)
            for length in lengths:
                speed, size = generation_speed(model, memory, True, length, beams)
                yield kind.value, length, speed, size / 1e9


def gpu(rounds: int) -> Iterator[Ratio]:
    """All of it; decoding is printed.

    Raises:
        UserError: No GPU is there.
    """
    if not torch.cuda.is_available():
        raise UserError("benchmark.py gpu needs an NVIDIA or AMD GPU that torch sees")
    yield from train(rounds)
    for kind, length, speed, gigabytes in decode(1024, 4, (64, 256)):
        print(
            f"decoding, {kind}, 1,024 sources, 4 beams, length {length}: {speed:,.0f} tokens/s, cache {gigabytes:.2f} GB"
        )

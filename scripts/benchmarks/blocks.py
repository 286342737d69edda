"""One block, forward and backward or without gradients, beside the same block of other libraries."""

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ratios import Ratio, compare
from mla_train.config import AttentionConfig, AttentionKind, EncoderConfig, RegularizationConfig
from mla_train.nn import Encoder
from mla_train.nn.encoder import EncoderBlock

WIDTHS, LENGTHS = (128, 256, 512), (64, 256, 1024)
SHARES = {128: 0.55, 256: 0.65, 512: 0.80}  # of the time that the matrix products would take alone
IN_BF16 = ("nn.TransformerEncoderLayer, no dropout", "own mha")
"""Peers that are compared in bfloat16 too, on processors that multiply in it."""
TOKENS = 4096
"""Tokens of a batch, which holds as many sequences as they make."""


def heads_of(dim: int) -> int:
    """Heads of 32 to 64."""
    return min(8, dim // 32)


class OurBlock(nn.Module):
    """A block of the encoder with its rotation."""

    def __init__(self, dim: int, dropout: float, attention: AttentionConfig | None = None) -> None:
        super().__init__()
        sizes = EncoderConfig(dim=dim, depth=1, num_heads=heads_of(dim))
        regularization = RegularizationConfig(dropout=dropout)
        encoder = Encoder(sizes, attention or AttentionConfig(), regularization)
        self.rotary = encoder.rotary
        self.block: EncoderBlock = encoder.blocks[0]  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        """Tokens, `(batch, length, dim)`."""
        assert self.rotary is not None
        return self.block(x, self.rotary(torch.arange(x.size(1))))


def torch_block(dim: int, dropout: float) -> nn.Module:
    """Torch's own, with the same feed-forward layer."""
    return nn.TransformerEncoderLayer(
        dim, heads_of(dim), 4 * dim, dropout, activation="gelu", batch_first=True, norm_first=True
    )


class DeepseekBlock(nn.Module):
    """Attention of transformers' DeepSeek-V3 with our norms and feed-forward layer: only attention differs."""

    def __init__(self, dim: int, sizes: dict[str, int]) -> None:
        super().__init__()
        from transformers.models.deepseek_v3 import configuration_deepseek_v3, modeling_deepseek_v3

        heads = heads_of(dim)
        options: dict[str, Any] = {"num_attention_heads": heads, "num_key_value_heads": heads, "q_lora_rank": None}
        options |= {"attention_bias": False, "attn_implementation": "sdpa", "num_hidden_layers": 1}
        config = configuration_deepseek_v3.DeepseekV3Config(hidden_size=dim, **options, **sizes)  # type: ignore[arg-type]
        self.attention = modeling_deepseek_v3.DeepseekV3Attention(config, 0)
        self.attention.is_causal = False
        self.rotary = modeling_deepseek_v3.DeepseekV3RotaryEmbedding(config)
        block = OurBlock(dim, 0.0).block
        self.attention_norm, self.norm, self.feed_forward = (
            block.attention_norm,
            block.feed_forward_norm,
            block.feed_forward,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Tokens, `(batch, length, dim)`."""
        positions = self.rotary(x, torch.arange(x.size(1)).unsqueeze(0))
        every = torch.ones(1, 1, x.size(1), x.size(1), dtype=torch.bool)  # without a mask it would be causal
        x = x + self.attention(self.attention_norm(x), positions, every)[0]
        return x + self.feed_forward(self.norm(x))


def deepseek_sizes(dim: int) -> tuple[AttentionConfig, dict[str, int]]:
    """Head sizes in DeepSeek's proportions, where values are narrower than queries and keys: 128 + 64 and 128."""
    head = dim // heads_of(dim)
    sizes = {"qk_nope_head_dim": head, "qk_rope_head_dim": head // 2, "v_head_dim": head, "kv_lora_rank": dim // 4}
    return AttentionConfig(**sizes), sizes  # type: ignore[arg-type]


class XBlock(nn.Module):
    """A block of x-transformers with rotary positions and RMSNorm."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        from x_transformers import Encoder as XEncoder

        head = dim // heads_of(dim)
        self.encoder = XEncoder(
            dim=dim, depth=1, heads=heads_of(dim), attn_dim_head=head, attn_flash=True, use_rmsnorm=True,
            rotary_pos_emb=True, rotary_emb_dim=head // 2 if head > 64 else head,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Tokens, `(batch, length, dim)`."""
        return self.encoder(x)


def training_step(block: nn.Module, x: Tensor, bf16: bool = False) -> None:
    """Forward and backward pass, in bfloat16 where that is said."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        result = block(x)
    result.float().sum().backward()


class Products:
    """One matrix product with as many operations as a training step: the step's share of the rate that the machine reaches."""

    def __init__(self, block: nn.Module, x: Tensor) -> None:
        with FlopCounterMode(display=False) as counter:
            training_step(block, x)
        dim = x.size(-1)
        rows = round(counter.get_total_flops() / (2 * dim * 4 * dim))
        self.left, self.right = torch.randn(rows, dim), torch.randn(dim, 4 * dim)
        self.out = torch.empty(rows, 4 * dim)

    def __call__(self) -> None:
        """The product."""
        torch.mm(self.left, self.right, out=self.out)


def peers(dim: int) -> Iterator[tuple[str, OurBlock, nn.Module, tuple[float, float, float]]]:
    """Pairs of blocks, ours and another, with the goal at each length."""
    yield "nn.TransformerEncoderLayer, no dropout", OurBlock(dim, 0.0), torch_block(dim, 0.0), (1.05, 1.05, 1.05)
    yield "nn.TransformerEncoderLayer, both by default", OurBlock(dim, 0.1), torch_block(dim, 0.1), (1.4, 1.5, 2.5)
    yield "own mha", OurBlock(dim, 0.0), OurBlock(dim, 0.0, AttentionConfig(kind=AttentionKind.mha)), (1.0, 1.0, 1.0)
    if find_spec("transformers") is not None:
        config, sizes = deepseek_sizes(dim)
        yield "transformers DeepSeek-V3", OurBlock(dim, 0.0, config), DeepseekBlock(dim, sizes), (1.1, 1.2, 1.6)
    if find_spec("x_transformers") is not None:
        yield "x-transformers", OurBlock(dim, 0.0), XBlock(dim), (1.1, 1.1, 1.1)


def train(rounds: int, widths: tuple[int, ...] = WIDTHS, lengths: tuple[int, ...] = LENGTHS) -> Iterator[Ratio]:
    """Forward and backward pass of a block."""
    for dim in widths:
        for name, ours, peer, goals in peers(dim):
            for length in lengths:
                goal = goals[LENGTHS.index(length)] if length in LENGTHS else None
                x = torch.randn(TOKENS // length, length, dim, requires_grad=True)
                case = f"width {dim}, length {length}"
                steps: list[Callable[[], Any]] = [partial(training_step, block, x) for block in (ours, peer)]
                yield compare(("train", case, name), steps[0], steps[1], rounds, goal)
                if name in IN_BF16 and torch.cpu._is_avx512_bf16_supported():
                    steps = [partial(training_step, block, x, bf16=True) for block in (ours, peer)]
                    yield compare(("train", case, f"{name}, bfloat16"), steps[0], steps[1], rounds)
        for length in lengths:
            x, block = torch.randn(TOKENS // length, length, dim, requires_grad=True), OurBlock(dim, 0.0)
            row = ("train", f"width {dim}, length {length}", "matrix products alone")
            yield compare(row, partial(training_step, block, x), Products(block, x), rounds, SHARES.get(dim))


class Stack(nn.Module):
    """Four blocks of ours behind each other."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.encoder = Encoder(
            EncoderConfig(dim=dim, depth=4, num_heads=heads_of(dim)), AttentionConfig(), RegularizationConfig()
        )

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Tokens, `(batch, length, dim)`, and True at padding, `(batch, length)`."""
        return self.encoder(x, key_padding_mask=padding)


def infer(rounds: int, widths: tuple[int, ...] = WIDTHS, lengths: tuple[int, ...] = LENGTHS) -> Iterator[Ratio]:
    """Four blocks without gradients, beside the fast path of torch's encoder, also with sequences of different lengths."""
    for dim in widths:
        ours = Stack(dim).eval()
        layer = nn.TransformerEncoderLayer(dim, heads_of(dim), 4 * dim, 0.0, activation="gelu", batch_first=True)
        peer = nn.TransformerEncoder(layer, 4, enable_nested_tensor=True).eval()
        for length in lengths:
            x = torch.randn(max(4, TOKENS // length), length, dim)
            lengths_of_rows = torch.linspace(0.12 * length, length, len(x)).round().long()
            padding = torch.arange(length) >= lengths_of_rows[:, None]
            share = padding.float().mean().item()
            case = f"width {dim}, length {length}"
            with torch.inference_mode():
                goal = 2.0 if length >= 1024 else 1.0
                name = "nn.TransformerEncoder, fast path"
                yield compare(("infer", case, name), partial(ours, x), partial(peer, x), rounds, goal)
                nested = f"{name}, nested at {share:.0%} padding"
                both = partial(ours, x, padding), partial(peer, x, src_key_padding_mask=padding)
                yield compare(("infer", case, nested), *both, rounds, 1.0)

"""How several inputs see each other before a vector is made of each."""

import torch
from torch import Tensor, nn

from mla_train.config import AttentionConfig, EncoderConfig, RegularizationConfig
from mla_train.nn.attention import build_attention
from mla_train.nn.layers import FeedForward, ResidualDropout, build_norm


class CrossAttentionBlock(nn.Module):
    """x + attention(norm(x), memory), then x + feed_forward(norm(x)); the latents of the memory are computed once."""

    def __init__(
        self, encoder: EncoderConfig, attention: AttentionConfig, regularization: RegularizationConfig
    ) -> None:
        super().__init__()
        dim = encoder.dim
        self.norm = build_norm(encoder.norm, dim)
        self.attention = build_attention(attention, dim, encoder.num_heads, 0, regularization.attention_dropout)
        self.feed_forward_norm = build_norm(encoder.norm, dim)
        self.feed_forward = FeedForward(dim, int(dim * encoder.mlp_ratio), encoder.activation)
        self.residual = ResidualDropout(regularization.dropout, 0.0)

    def states(self, x: Tensor) -> tuple[Tensor, ...]:
        """What attention needs of tokens `(batch, length, dim)` that are attended to."""
        return self.attention.states(self.norm(x))

    def forward(self, x: Tensor, memory: tuple[Tensor, ...], key_padding_mask: Tensor | None = None) -> Tensor:
        """Attends from `(batch, length, dim)` to the `states` of a memory; zeros where all is padding."""
        x = x + self.residual(self.attention(self.norm(x), memory=memory, key_padding_mask=key_padding_mask))
        return x + self.residual(self.feed_forward(self.feed_forward_norm(x)))


class CrossAttentionFusion(nn.Module):
    """Each input attends to the tokens of all others (Tsai et al. 2019, arXiv 1906.00295), through one shared block.

    The latents of an input are computed once and read by all others: with m inputs of n tokens m * n latents are made
    and m * (m - 1) * n * n scores.
    """

    def __init__(
        self, encoder: EncoderConfig, attention: AttentionConfig, regularization: RegularizationConfig
    ) -> None:
        super().__init__()
        self.block = CrossAttentionBlock(encoder, attention, regularization)

    def forward(self, tokens: dict[str, Tensor], padding: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tokens `(batch, length, dim)` of each input that have seen the others; padding is True, `(batch, length)`."""
        states = {name: self.block.states(x) for name, x in tokens.items()}
        fused = {}
        for name, x in tokens.items():
            others = [other for other in tokens if other != name]
            memory = tuple(torch.cat(parts, -2) for parts in zip(*(states[other] for other in others), strict=True))
            fused[name] = self.block(x, memory, torch.cat([padding[other] for other in others], 1))
        return fused


class BottleneckFusion(nn.Module):
    """A few latent tokens attend to all inputs, and these attend to the latent tokens alone.

    So the cost grows with the number of tokens, not with its square (Nagrani et al. 2021, arXiv 2107.00135).
    """

    def __init__(
        self, encoder: EncoderConfig, attention: AttentionConfig, regularization: RegularizationConfig, latents: int
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, encoder.dim) * 0.1)
        self.gather = CrossAttentionBlock(encoder, attention, regularization)
        self.spread = CrossAttentionBlock(encoder, attention, regularization)

    def forward(self, tokens: dict[str, Tensor], padding: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tokens that have seen the latent ones; the arguments are those of `CrossAttentionFusion.forward`."""
        all_tokens, all_padding = torch.cat(list(tokens.values()), 1), torch.cat(list(padding.values()), 1)
        latents = self.latents.expand(all_tokens.size(0), -1, -1)
        latents = self.gather(latents, self.gather.states(all_tokens), all_padding)
        memory = self.spread.states(latents)
        return {name: self.spread(x, memory) for name, x in tokens.items()}

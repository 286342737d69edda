"""How modalities see each other before a vector is made of each."""

import torch
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.nn import FeedForward, ResidualDropout, build_attention, build_norm


class Looking(nn.Module):
    """x + attention(norm(x), memory), then x + feed_forward(norm(x)); the memory's latents are computed once for all.

    Args:
        config: The whole run's; its encoder's sizes and its kind of attention are taken.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        encoder, regularization = config.encoder, config.regularization
        self.norm = build_norm(encoder.norm, encoder.dim)
        self.attention = build_attention(
            config.attention, encoder.dim, encoder.num_heads, 0, regularization.attention_dropout
        )
        self.feed_forward_norm = build_norm(encoder.norm, encoder.dim)
        self.feed_forward = FeedForward(encoder.dim, int(encoder.dim * encoder.mlp_ratio), encoder.activation)
        self.residual = ResidualDropout(regularization.dropout, 0.0)

    def states(self, x: Tensor) -> tuple[Tensor, ...]:
        """What attention must know of tokens `(batch, length, dim)` that are looked at."""
        return self.attention.states(self.norm(x))

    def forward(self, x: Tensor, memory: tuple[Tensor, ...], key_padding_mask: Tensor | None = None) -> Tensor:
        """Looks at a memory.

        Args:
            x: `(batch, length, dim)`.
            memory: The `states` of its tokens.
            key_padding_mask: True at padding of the memory, `(batch, keys)`. Who may look at nothing sees zeros.
        """
        x = x + self.residual(self.attention(self.norm(x), memory=memory, key_padding_mask=key_padding_mask))
        return x + self.residual(self.feed_forward(self.feed_forward_norm(x)))


class CrossAttention(nn.Module):
    """Each modality looks at the tokens of all others (Tsai et al. 2019, arXiv 1906.00295), through one shared layer.

    The latents of a modality are computed once and read by all others: with m modalities of n tokens m * n latents are
    made and m * (m - 1) * n * n scores.

    Args:
        config: The whole run's.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.look = Looking(config)

    def forward(self, tokens: dict[str, Tensor], padding: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tokens that have seen the other modalities.

        Args:
            tokens: Of each modality, `(batch, length, dim)`.
            padding: True where there is nothing, `(batch, length)`.
        """
        if len(tokens) == 1:
            return tokens
        states = {name: self.look.states(x) for name, x in tokens.items()}
        seen = {}
        for name, x in tokens.items():
            others = [other for other in tokens if other != name]
            memory = tuple(torch.cat(parts, -2) for parts in zip(*(states[other] for other in others), strict=True))
            seen[name] = self.look(x, memory, torch.cat([padding[other] for other in others], 1))
        return seen


class Bottleneck(nn.Module):
    """A few latent tokens look at all modalities, and these look at the latent tokens alone.

    So the cost grows with the number of tokens, not with its square (Nagrani et al. 2021, arXiv 2107.00135).

    Args:
        config: The whole run's.
        count: Latent tokens.
    """

    def __init__(self, config: TrainConfig, count: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(count, config.encoder.dim) * 0.1)
        self.gather = Looking(config)
        self.spread = Looking(config)

    def forward(self, tokens: dict[str, Tensor], padding: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tokens that have seen the latent ones; the arguments are those of `CrossAttention.forward`."""
        everything, nothing = torch.cat(list(tokens.values()), 1), torch.cat(list(padding.values()), 1)
        latents = self.latents.expand(len(everything), -1, -1)
        latents = self.gather(latents, self.gather.states(everything), nothing)
        memory = self.spread.states(latents)
        return {name: self.spread(x, memory) for name, x in tokens.items()}

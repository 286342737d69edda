"""Observation points of attention layers: what a layer computed, collected while the network is called.

    with observe(layers, "weights", "heads") as records:
        network(batch)
    records[0].calls[0].weights

The fast kernel never writes weights out, so that they are computed from queries and keys where they are observed. A layer
that nobody observes does no more than find its list of observers empty.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

POINTS = ("weights", "heads", "latent")


@dataclass
class Call:
    """One call of a layer; a point that is not observed, or that the call did not reach, is None.

    Attributes:
        key_padding_mask: True at keys that are padding, `(batch, keys)`; None without padding.
        weights: Softmax of the scores, `(batch, num_heads, queries, keys)`; zero where a key is masked, no gradient.
        heads: Outputs of heads before the output projection, `(batch, queries, num_heads, v_head_dim)`.
        latent: Normed key-value latents that the call computed, before their gate, `(batch, keys, kv_lora_rank)`.
    """

    key_padding_mask: Tensor | None
    weights: Tensor | None = None
    heads: Tensor | None = None
    latent: Tensor | None = None


@dataclass
class Record:
    """The observed calls of one layer.

    Attributes:
        points: Names of the observed points.
        calls: Calls in their order.
        shared_latents: Latents computed outside of a call, for several readers, each `(batch, keys, kv_lora_rank)`.
    """

    points: frozenset[str]
    calls: list[Call] = field(default_factory=list)
    shared_latents: list[Tensor] = field(default_factory=list)
    in_call: bool = False

    @property
    def weights(self) -> list[Tensor]:
        """Attention weights of each call, `(batch, num_heads, queries, keys)`."""
        return [call.weights for call in self.calls if call.weights is not None]

    def latent(self, call: int, row: int) -> Tensor | None:
        """Latents that a call read of an example, `(keys, kv_lora_rank)`; None without a latent."""
        own = self.calls[call].latent
        latents = self.shared_latents if own is None else [own]
        return torch.cat([latent[row] for latent in latents]) if latents else None

    # Called by the layer.

    def start(self, key_padding_mask: Tensor | None) -> None:
        """A call begins."""
        self.calls.append(Call(key_padding_mask))
        self.in_call = True

    def take_weights(self, compute: Callable[[], Tensor], num_heads: int) -> None:
        """Weights are computed at once if they are observed: a cache may overwrite the keys later."""
        if "weights" in self.points:
            with torch.no_grad():
                weights = compute()
            # Queries of several heads may be folded into one.
            self.calls[-1].weights = weights.reshape(len(weights), num_heads, -1, weights.size(-1))

    def take_latent(self, latent: Tensor) -> None:
        """The latents of a call, or of `states` outside of one."""
        if "latent" not in self.points:
            return
        if self.in_call:
            self.calls[-1].latent = latent
        else:
            self.shared_latents.append(latent)

    def finish(self, heads: Tensor) -> None:
        """A call ends with the outputs of its heads."""
        if "heads" in self.points:
            self.calls[-1].heads = heads
        self.in_call = False


@contextmanager
def observe(layers: Sequence[Any], *points: str) -> Iterator[list[Record]]:
    """Records attention layers while the network is called.

    Args:
        layers: Attention layers, such as `network.decoder.blocks[0].cross_attention`; a repeated layer has one record.
        points: Names out of `POINTS`.

    Yields:
        The record of each layer.

    Raises:
        ValueError: A point is unknown.
    """
    unknown = set(points) - set(POINTS)
    if unknown:
        raise ValueError(f"attention has no observation point {', '.join(sorted(unknown))}; use {', '.join(POINTS)}")
    records = {layer: Record(frozenset(points)) for layer in layers}
    for layer, record in records.items():
        layer.observers.append(record)
    try:
        yield [records[layer] for layer in layers]
    finally:
        for layer, record in records.items():
            layer.observers = [other for other in layer.observers if other is not record]

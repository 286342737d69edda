"""What heads do, in numbers: how widely and how far they look, how alike they are, how full their latents are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mla_train.nn.attention_maps import attention_maps


@dataclass
class Seen:
    """What was seen of a layer, a call behind the other.

    Attributes:
        weights: Of each call, `(batch, heads, queries, keys)`.
        outputs: What heads gave, `(batch, queries, heads, v_head_dim)`.
        latents: Normed key-value latents that a call made, `(batch, keys, kv_lora_rank)`; None where it made none.
        shared: Latents that were made outside of calls, for several readers.
    """

    weights: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    latents: list[Tensor | None] = field(default_factory=list)
    shared: list[Tensor] = field(default_factory=list)
    calling: bool = False

    def latent(self, call: int, row: int) -> Tensor | None:
        """Latents of a call, or those that are shared, of one row of the batch, `(keys, kv_lora_rank)`.

        Args:
            call: Which.
            row: Of the batch.
        """
        own = self.latents[call]
        found = self.shared if own is None else [own]
        return torch.cat([latent[row] for latent in found]) if found else None


@contextmanager
def watch(layers: Sequence[nn.Module]) -> Iterator[list[Seen]]:
    """Notes what attention layers do while the network is called.

    Args:
        layers: Attention layers; one that stands there twice is watched once.

    Yields:
        What was seen of each layer.
    """
    each = {layer: Seen() for layer in layers}
    hooks = []
    for layer, seen in each.items():
        hooks.append(layer.register_forward_pre_hook(partial(_begin, seen)))
        hooks.append(layer.register_forward_hook(partial(_end, seen), always_call=True))
        hooks.append(layer.get_submodule("out").register_forward_pre_hook(partial(_note_outputs, seen, layer)))
        if hasattr(layer, "kv_norm"):
            hooks.append(layer.get_submodule("kv_norm").register_forward_hook(partial(_note_latents, seen)))
    try:
        with attention_maps(list(each)) as maps:
            for seen, found in zip(each.values(), maps, strict=True):
                seen.weights = found
            yield [each[layer] for layer in layers]
    finally:
        for hook in hooks:
            hook.remove()


def _begin(seen: Seen, *_: Any) -> None:
    seen.calling = True
    seen.latents.append(None)


def _end(seen: Seen, *_: Any) -> None:
    seen.calling = False


def _note_outputs(seen: Seen, layer: Any, _: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    seen.outputs.append(arguments[0].detach().float().unflatten(-1, (layer.num_heads, -1)))


def _note_latents(seen: Seen, _: nn.Module, __: Any, latent: Tensor) -> None:
    if seen.calling:
        seen.latents[-1] = latent.detach().float()
    else:
        seen.shared.append(latent.detach().float())


def entropy(weights: Tensor) -> Tensor:
    """How widely each head looks: 0 is one key alone, 1 is all keys alike.

    -sum w log w over the logarithm of the number of keys that the query may look at, mean over queries; those that may
    look at a single one are left out.

    Args:
        weights: `(heads, queries, keys)`, zero where a query may not look.

    Returns:
        `(heads,)`.
    """
    seen = (weights > 0).sum(-1)
    found = torch.special.entr(weights).sum(-1) / seen.float().log()
    return found.masked_fill(seen < 2, torch.nan).nanmean(-1).nan_to_num(0.0)


def distance(weights: Tensor, places: Tensor) -> Tensor:
    """How far each head looks: the mean distance of a query from what it looks at.

    Args:
        weights: `(heads, tokens, tokens)`.
        places: Of the tokens, `(tokens, axes)`; tokens whose place is NaN neither look nor are looked at.

    Returns:
        `(heads,)`, in steps or cells.
    """
    there = ~places.float().isnan().any(-1)
    weights, places = weights[:, there][..., there], places[there].to(weights)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)
    return (weights * torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")).sum(-1).mean(-1)


def redundancy(outputs: Tensor) -> Tensor:
    """How alike heads are: |cosine| of what two heads give for a token, mean over tokens.

    Args:
        outputs: `(tokens, heads, v_head_dim)`.

    Returns:
        `(heads, heads)`, 1 on the diagonal.
    """
    unit = torch.nn.functional.normalize(outputs, dim=-1)
    return (unit @ unit.transpose(-1, -2)).abs().mean(0)


def effective_rank(latent: Tensor) -> float:
    """How many directions are in use: exp of the entropy of the singular values' shares (Roy and Vetterli 2007).

    Args:
        latent: `(tokens, width)`.
    """
    values = torch.linalg.svdvals(latent)
    return float(torch.special.entr(values / values.sum().clamp(min=1e-12)).sum().exp())


@dataclass
class HeadStatistics:
    """Of the heads of a layer, for one example.

    Attributes:
        entropy: Of each head, 0 to 1.
        distance: Of each head; None between two sequences.
        redundancy: Mean |cosine| of each head with the others; None of a single head.
        effective_rank: Of the key-value latents; None of attention without a latent.
        kv_lora_rank: Their width: what the rank can be at most, as can the number of tokens.
    """

    entropy: list[float]
    distance: list[float] | None
    redundancy: list[float] | None
    effective_rank: float | None
    kv_lora_rank: int | None


def head_statistics(seen: Seen, places: Tensor | None, call: int = 0, row: int = 0) -> HeadStatistics:
    """Numbers of one layer.

    Args:
        seen: What was seen of it.
        places: Of the tokens if a sequence looks at itself, `(tokens, axes)`.
        call: Which call is meant.
        row: Which row of its batch.
    """
    weights, latent = seen.weights[call][row], seen.latent(call, row)
    alike, heads = redundancy(seen.outputs[call][row]), weights.size(0)
    return HeadStatistics(
        entropy(weights).tolist(),
        None if places is None else distance(weights, places).tolist(),
        ((alike.sum(-1) - 1) / (heads - 1)).tolist() if heads > 1 else None,
        None if latent is None else effective_rank(latent),
        None if latent is None else latent.size(-1),
    )

"""Where attention looks, recomputed from a layer's own queries and keys; the network itself keeps to its fast kernel."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mla_train.nn import kernel


@contextmanager
def attention_maps(layers: Sequence[nn.Module]) -> Iterator[list[list[Tensor]]]:
    """Notes the weights of attention layers while the network is called.

    Args:
        layers: Attention layers, such as `network.decoder.blocks[0].cross_attention`.

    Yields:
        For each layer the weights of its calls, each `(batch, heads, queries, keys)`; they sum to one over keys.
    """
    found: list[list[Tensor]] = [[] for _ in layers]
    hooks = []
    for layer, maps in zip(layers, found, strict=True):
        observe = partial(_note, maps, layer)
        hooks.append(layer.register_forward_pre_hook(lambda *_, observe=observe: kernel.observers.append(observe)))
        hooks.append(
            layer.register_forward_hook(lambda *_, observe=observe: kernel.observers.remove(observe), always_call=True)
        )
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def _note(maps: list[Tensor], layer: Any, weights: Callable[[], Tensor]) -> None:
    found = weights()
    # Absorbed queries of all heads may stand side by side.
    maps.append(found.reshape(len(found), layer.num_heads, -1, found.size(-1)))

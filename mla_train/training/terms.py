"""Losses beside the task's own, of what modules said while the network was called.

They attach from outside: hooks stand for the length of one call and only where a term is wanted, so that a network
which nobody watches pays nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mla_train.config import Latent
from mla_train.nn import AttentionPooling, ClassToken, Encoder, EncoderBlock, MeanPooling
from mla_train.nn.gates import LatentGate
from mla_train.nn.penalties import contrastive_classes, contrastive_heads, diverse_heads, drop_heads, orthogonal_heads
from mla_train.nn.variational import Posterior, kl_to_standard_normal

if TYPE_CHECKING:
    from mla_train.training.task import Task


@dataclass
class Call:
    """A module's call.

    Attributes:
        module: Which was called.
        arguments: By place.
        output: What it returned.
    """

    module: nn.Module
    arguments: tuple[Any, ...]
    output: Any


@dataclass
class Term:
    """A part of the loss.

    Attributes:
        name: Of its curve.
        weight: In the loss, when warm-up is over.
        watched: The modules whose calls are needed.
        value: From those calls in their order and the batch to a mean, which does not grow with the batch.
    """

    name: str
    weight: float
    watched: list[nn.Module]
    value: Callable[[list[Call], Any], Tensor]


def build_terms(task: "Task", facts: Any) -> list[Term]:
    """The terms that a task's config asks for.

    Args:
        task: With its network.
        facts: Of the data; what asks for `classes` is left out where they have none.
    """
    r, encoder = task.config.regularization, task.config.encoder
    blocks = _all(task, EncoderBlock)
    # A layer's output projection is called within its block, which is told of padding.
    heads = [module for block in blocks for module in (block.attention.out, block)]
    found = [
        Term("diverse_heads", r.diverse_heads, heads, partial(_of_heads, diverse_heads)),
        Term("contrastive_heads", r.contrastive_heads, heads, partial(_of_heads, contrastive_heads)),
        Term("orthogonal_heads", r.orthogonal_heads, [], partial(_overlap, blocks)),
        Term("sparse_features", r.sparse_features, [gate.opening for gate in _all(task, LatentGate)], _openings),
    ]
    if getattr(facts, "classes", None):
        pooled = _all(task, (AttentionPooling, ClassToken, MeanPooling))
        found.append(Term("contrastive_classes", r.contrastive_classes, pooled, _of_classes))
    found = [term for term in found if term.weight]
    if encoder.latent is Latent.variational:
        weight = 1e-3 if r.kl is None else r.kl
        found.append(Term("kl", weight, _all(task, Posterior), partial(_kl, r.free_bits)))
    if encoder.reconstruct:
        weight = 1.0 if r.reconstruction is None else r.reconstruction
        hiding = [module for module in _all(task, Encoder) if module.hiding is not None]
        found.append(Term("reconstruction", weight, hiding, partial(_reconstruction, task)))
    return found


def attach_drop_heads(task: "Task", probability: float) -> None:
    """Leaves out heads of the encoder in training; see `penalties.drop_heads`."""

    def hook(num_heads: int, module: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor] | None:
        if not module.training:
            return None
        return (drop_heads(arguments[0].unflatten(-1, (num_heads, -1)), probability).flatten(2),)

    for block in _all(task, EncoderBlock):
        block.attention.out.register_forward_pre_hook(partial(hook, block.attention.num_heads))


def warmed_up(step: int, steps: int, share: float) -> float:
    """How much of their weight terms have: it rises in a line from 0 to 1.

    Args:
        step: Steps done.
        steps: All steps of the run.
        share: Of them in which it rises.
    """
    return min(1.0, step / (share * steps)) if share * steps > 0 else 1.0


def watched(task: "Task", batch: Any) -> tuple[Any, dict[str, Tensor]]:
    """Calls the network and finds its terms.

    Args:
        task: Whose terms.
        batch: What it reads.

    Returns:
        The outputs, and the value of each term.
    """
    calls: dict[str, list[Call]] = {term.name: [] for term in task.terms}
    hooks = [
        module.register_forward_hook(partial(_note, calls[term.name])) for term in task.terms for module in term.watched
    ]
    try:
        outputs = task(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return outputs, {term.name: term.value(calls[term.name], batch) for term in task.terms}


def _all(task: "Task", kind: Any) -> list[Any]:
    return [module for module in task.modules() if isinstance(module, kind)]


def _note(calls: list[Call], module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
    calls.append(Call(module, arguments, output))


def _outputs_of_heads(calls: list[Call]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Outputs `(batch, length, num_heads, v_head_dim)` and padding `(batch, length)` of each layer."""
    for within, block in zip(calls[::2], calls[1::2], strict=True):
        layer: Any = block.module
        padding = block.arguments[2] if len(block.arguments) > 2 else None
        yield within.arguments[0].unflatten(-1, (layer.attention.num_heads, -1)), padding


def _of_heads(penalty: Callable[[Tensor, Tensor | None], Tensor], calls: list[Call], batch: Any) -> Tensor:
    """Averaged over layers."""
    return torch.stack([penalty(heads, padding) for heads, padding in _outputs_of_heads(calls)]).mean()


def _overlap(blocks: list[Any], calls: list[Call], batch: Any) -> Tensor:
    """Averaged over layers."""
    layers = [block.attention for block in blocks]
    return torch.stack([orthogonal_heads(layer.out.weight, layer.num_heads) for layer in layers]).mean()


def _openings(calls: list[Call], batch: Any) -> Tensor:
    """How far open gates are, from 0 to 1."""
    return torch.stack([call.output.float().mean() for call in calls]).mean()


def _of_classes(calls: list[Call], batch: Any) -> Tensor:
    """Averaged over what is pooled; labels that are shares count as their greatest."""
    labels = batch.labels.argmax(-1) if batch.labels.dim() == 2 else batch.labels
    return torch.stack([contrastive_classes(call.output, labels) for call in calls]).mean()


def _kl(free_bits: float, calls: list[Call], batch: Any) -> Tensor:
    """Nats a token, averaged over calls of the encoder."""
    found = []
    for call in calls:
        mean, log_variance = call.output
        found.append(kl_to_standard_normal(mean, log_variance, free_bits, call.arguments[1]))
    return torch.stack(found).mean()


def _reconstruction(task: "Task", calls: list[Call], batch: Any) -> Tensor:
    """How far off the input is told from the encoder's output."""
    assert task.reconstruction is not None
    targets = [entry.read(batch) for entry in task.encoder_inputs()]
    return task.reconstruction([call.output for call in calls], targets)

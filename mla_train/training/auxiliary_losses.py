"""Losses beside the head's own, computed from what modules returned while the network was called.

Observers and hooks are attached for the length of one call and only where a loss needs them.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mla_train.config import Latent
from mla_train.nn import AttentionPooling, ClassToken, Encoder, EncoderBlock, MeanPooling, observe
from mla_train.nn.attention.gates import LatentGate
from mla_train.nn.attention.observation import Call
from mla_train.nn.regularizers import contrastive_classes, contrastive_heads, diverse_heads, orthogonal_heads
from mla_train.nn.variational import Posterior, kl_to_standard_normal


@dataclass
class ModuleCall:
    """One call of a module: positional arguments and return value."""

    arguments: tuple[Any, ...]
    output: Any


@dataclass
class AuxiliaryLoss:
    """A loss beside the head's own.

    Attributes:
        name: Name of its curve.
        weight: Weight in the total loss after warm-up.
        value: From the observed calls and the batch to a mean, which does not grow with the batch.
        modules: Modules whose calls are needed, each a `ModuleCall`, in the order of the calls.
        layers: Attention layers the outputs of whose heads are needed, each a `Call` of `observe`, layer by layer.
    """

    name: str
    weight: float
    value: Callable[[list[Any], Any], Tensor]
    modules: list[nn.Module] = field(default_factory=list)
    layers: list[nn.Module] = field(default_factory=list)


def build_auxiliary_losses(module: Any) -> list[AuxiliaryLoss]:
    """The losses that a config asks for; losses over classes are left out where there are none."""
    r, encoder = module.config.regularization, module.config.encoder
    layers = [block.attention for block in _modules(module, EncoderBlock)]
    openings = [gate.opening for gate in _modules(module, LatentGate)]
    losses = [
        AuxiliaryLoss("diverse_heads", r.diverse_heads, partial(_heads_loss, diverse_heads), layers=layers),
        AuxiliaryLoss("contrastive_heads", r.contrastive_heads, partial(_heads_loss, contrastive_heads), layers=layers),
        AuxiliaryLoss("orthogonal_heads", r.orthogonal_heads, partial(_overlap, layers)),
        AuxiliaryLoss("sparse_features", r.sparse_features, _openings, openings),
    ]
    if module.model.head.kind == "classification":
        pooling = _modules(module, (AttentionPooling, ClassToken, MeanPooling))
        losses.append(AuxiliaryLoss("contrastive_classes", r.contrastive_classes, _classes_loss, pooling))
    losses = [loss for loss in losses if loss.weight]
    if encoder.latent is Latent.variational:
        weight = 1e-3 if r.kl is None else r.kl
        losses.append(AuxiliaryLoss("kl", weight, partial(_kl, r.free_bits), _modules(module, Posterior)))
    if encoder.masked_modeling:
        weight = 1.0 if r.reconstruction is None else r.reconstruction
        encoders = [each for each in _modules(module, Encoder) if each.token_masking is not None]
        losses.append(AuxiliaryLoss("reconstruction", weight, partial(_reconstruction, module), encoders))
    return losses


def warmup_factor(step: int, steps: int, share: float) -> float:
    """Factor on the weights of auxiliary losses, which rises linearly from 0 to 1 over a share of all steps."""
    return min(1.0, step / (share * steps)) if share * steps > 0 else 1.0


def forward_with_auxiliary_losses(
    module: Any, batch: Any, call: Callable[[Any, Any], Any] | None = None
) -> tuple[Any, dict[str, Tensor]]:
    """Calls the network and computes its auxiliary losses.

    Args:
        module: TrainingModule with its network and its auxiliary losses.
        batch: Batch for the network.
        call: What is done with the network and the batch; None calls the module.

    Returns:
        The outputs, and the value of each auxiliary loss.
    """
    losses = module.auxiliary_losses
    calls: dict[str, list[Any]] = {loss.name: [] for loss in losses}
    layers = list(dict.fromkeys(layer for loss in losses for layer in loss.layers))
    with ExitStack() as stack:
        for loss in losses:
            for each in loss.modules:
                stack.callback(each.register_forward_hook(partial(_record, calls[loss.name])).remove)
        records = stack.enter_context(observe(layers, "heads"))
        outputs = module(batch) if call is None else call(module.model, batch)
    for loss in losses:
        calls[loss.name] += [call for layer in loss.layers for call in records[layers.index(layer)].calls]
    return outputs, {loss.name: loss.value(calls[loss.name], batch) for loss in losses}


def _modules(module: Any, kind: Any) -> list[Any]:
    return [each for each in module.modules() if isinstance(each, kind)]


def _record(calls: list[ModuleCall], module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
    calls.append(ModuleCall(arguments, output))


def _heads_loss(regularizer: Callable[[Any, Tensor | None], Tensor], calls: list[Call], batch: Any) -> Tensor:
    """Mean over layers and their calls."""
    return torch.stack([regularizer(call.heads, call.key_padding_mask) for call in calls]).mean()


def _overlap(layers: list[Any], calls: list[Call], batch: Any) -> Tensor:
    """Mean over layers."""
    return torch.stack([orthogonal_heads(layer.out.weight, layer.num_heads) for layer in layers]).mean()


def _openings(calls: list[ModuleCall], batch: Any) -> Tensor:
    """How far gates are open, from 0 to 1."""
    return torch.stack([call.output.float().mean() for call in calls]).mean()


def _classes_loss(calls: list[ModuleCall], batch: Any) -> Tensor:
    """Mean over poolings; soft labels count as their largest class."""
    labels = batch.targets.argmax(-1) if batch.targets.dim() == 2 else batch.targets
    return torch.stack([contrastive_classes(call.output, labels) for call in calls]).mean()


def _kl(free_bits: float, calls: list[ModuleCall], batch: Any) -> Tensor:
    """Nats a token, averaged over calls of the encoder."""
    values = []
    for call in calls:
        mean, log_variance = call.output
        values.append(kl_to_standard_normal(mean, log_variance, free_bits, call.arguments[1]))
    return torch.stack(values).mean()


def _reconstruction(module: Any, calls: list[ModuleCall], batch: Any) -> Tensor:
    """Error of the encoder's inputs as predicted from its outputs."""
    assert module.reconstruction is not None
    targets = [entry.target(batch) for entry in module.model.reconstruction_inputs()]
    return module.reconstruction([call.output for call in calls], targets)

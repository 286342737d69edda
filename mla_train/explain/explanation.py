"""What explains the prediction for one example: its units, the attention between them, and how to occlude them.

Attention maps, statistics of heads and attributions are computed from an `Explanation`, whatever the task.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mla_train.data.batch import Batch
from mla_train.dataset import check_given, raw_batch
from mla_train.modalities.explanation import GradientInput, InputExplanation, Units
from mla_train.model import Model
from mla_train.nn import AttentionPooling, ClassToken
from mla_train.nn.fusion import CrossAttentionFusion


@dataclass
class AttentionView:
    """Attention of one sequence over another in some layers.

    Attributes:
        name: Names of both for titles and files, such as "target over source".
        layers: Attention layers, from the first to the last.
        queries: Units of the sequence that attends.
        keys: Units of the sequence that is attended to.
        query_units: Index in `queries` of each token's unit, `(query_tokens,)`; -1 for none.
        key_units: Index in `keys` of each token's unit, `(key_tokens,)`; -1 for none.
        positions: Positions of tokens in self-attention, `(tokens, axes)`; NaN where a token has none.
        call: Index of the call of the layers.
        row: Index of the example in the batch of this call.
        query_weights: Weight of each query in `received`, `(query_tokens,)`; None weights all alike.
    """

    name: str
    layers: Sequence[nn.Module]
    queries: Units
    keys: Units
    query_units: Tensor
    key_units: Tensor
    positions: Tensor | None = None
    call: int = 0
    row: int = 0
    query_weights: Tensor | None = None

    def by_unit(self, weights: Tensor) -> Tensor:
        """Attention between units: the mean over the tokens of a query, the sum over those of a key.

        Args:
            weights: Attention between tokens, `(heads, query_tokens, key_tokens)`.

        Returns:
            `(heads, queries, keys)`.
        """
        members = _members(self.query_units, len(self.queries)).to(weights)
        members = members / members.sum(-1, keepdim=True).clamp(min=1)
        return members @ weights @ _members(self.key_units, len(self.keys)).to(weights).T

    def received(self, weights: Tensor) -> Tensor:
        """Attention that each key receives from all queries together, `(heads, keys)`.

        Args:
            weights: Attention between tokens, `(heads, query_tokens, key_tokens)`.
        """
        query_weights = (self.query_units >= 0).float() if self.query_weights is None else self.query_weights
        received = (query_weights / query_weights.sum()).to(weights) @ weights
        return received @ _members(self.key_units, len(self.keys)).to(weights).T


def self_attention_view(
    name: str, layers: Sequence[nn.Module], units: Units, token_units: Tensor | None = None, **options: Any
) -> AttentionView:
    """Self-attention of a sequence of tokens.

    Args:
        name: Name for titles and files.
        layers: Attention layers, from the first to the last.
        units: Units of the sequence.
        token_units: Index of each token's unit, `(tokens,)`; None makes each token a unit.
        options: Further fields of `AttentionView`.
    """
    token_units = torch.arange(len(units)) if token_units is None else token_units
    options = {"positions": torch.arange(len(token_units)).unsqueeze(1)} | options
    return AttentionView(name, layers, units, units, token_units, token_units, **options)


@dataclass
class Explanation:
    """A prediction with what its explanation needs.

    Attributes:
        batch: Batch of the example alone.
        prediction: Prediction as text.
        attention: Views of attention.
        units: Units that attributions are computed for.
        occlude: From masks `(examples, units)`, False where a unit is occluded, to a batch of as many examples.
        score: From outputs to the number that is explained, `(examples,)`.
        score_name: Name of that number.
        gradient_inputs: What gradients are taken with respect to.
        outputs: Outputs of the network for other values of the gradient inputs, each `(examples, ...)`.
    """

    batch: Any
    prediction: str
    attention: list[AttentionView]
    units: list[Units]
    occlude: Callable[[np.ndarray], Any]
    score: Callable[[Any], Tensor]
    score_name: str
    gradient_inputs: list[GradientInput] = field(default_factory=list)
    outputs: Callable[[Sequence[Tensor]], Any] | None = None

    def __len__(self) -> int:
        """Number of units."""
        return sum(map(len, self.units))


def explain_example(model: Model, raw: Mapping[str, Any]) -> Explanation:
    """The prediction for a raw example, with what explains it.

    Self-attention of each input, attention between inputs with cross-attention fusion; words, cells and steps as units.

    Args:
        model: Trained network in evaluation mode.
        raw: Raw value of each input by name; what is not given is missing.

    Raises:
        UserError: Nothing is given, a value cannot be read, or a text has no token that the model knows.
    """
    check_given(model.spec, [raw])
    batch = raw_batch(model.spec, [raw])
    names = [name for name, tensors in batch.inputs.items() if not bool(tensors.padding.all())]
    with torch.no_grad():
        features = model.encode(batch)
        explained = model.head.explain(model.decode(features, batch), batch)
        embeddings: dict[str, Any] = dict(model.embeddings)
        parts = {
            name: model.spec.inputs[name].explain(name, embeddings[name], batch.inputs[name], raw[name])
            for name in names
        }
        views = _self_attention(model, parts, features) + _cross_attention(model, parts, batch)

    def occlude(kept: np.ndarray) -> Batch:
        masks = np.split(kept, np.cumsum([len(part.units) for part in parts.values()])[:-1], 1)
        values = [part.occlude(mask) for part, mask in zip(parts.values(), masks, strict=True)]
        return raw_batch(model.spec, [dict(zip(parts, row, strict=True)) for row in zip(*values, strict=True)])

    inputs = _padded_gradient_inputs(list(parts.values()))

    def outputs(values: Sequence[Tensor]) -> Any:
        copies = raw_batch(model.spec, [raw] * len(values[0]))
        with ExitStack() as stack:
            for entry, value in zip(inputs, values, strict=True):
                entry.put(stack, copies, value)
            return model(copies)

    units = [part.units for part in parts.values()]
    return Explanation(
        batch, explained.prediction, views, units, occlude, explained.score, explained.name, inputs, outputs
    )


def _self_attention(model: Model, parts: dict[str, InputExplanation], features: dict[str, Any]) -> list[AttentionView]:
    if model.encoder is None:
        return []
    layers, order, views = model.encoder.attention_layers, list(model.embeddings), []
    for name, part in parts.items():
        pooling: Any = model.head.poolings[name] if hasattr(model.head, "poolings") else None
        units, positions = part.token_units, part.positions.float()
        weights = None
        if isinstance(pooling, ClassToken):  # it stands in front, at no position
            units = torch.cat([torch.tensor([-1]), units])
            positions = torch.cat([torch.full_like(positions[:1], torch.nan), positions])
            weights = torch.eye(len(units))[0]
        elif isinstance(pooling, AttentionPooling):
            weights = pooling.score(features[name].tokens)[0, :, 0].softmax(-1)
        views.append(
            self_attention_view(
                f"{name} over {name}",
                layers,
                part.units,
                units,
                positions=positions,
                call=order.index(name),
                query_weights=weights,
            )
        )
    return views


def _cross_attention(model: Model, parts: dict[str, InputExplanation], batch: Batch) -> list[AttentionView]:
    """Words and steps over each other input: the tokens of all others are the keys, side by side."""
    if not isinstance(model.fusion, CrossAttentionFusion):
        return []
    order, views = list(model.embeddings), []
    sizes = {name: _token_count(model, name, batch) for name in order}
    layers: list[nn.Module] = [model.fusion.block.attention]
    for name, part in parts.items():
        if model.spec.inputs[name].kind == "image":
            continue
        for other in parts:
            if other != name:
                keys = [parts[n].token_units if n == other else torch.full((sizes[n],), -1) for n in order if n != name]
                views.append(
                    AttentionView(
                        f"{name} over {other}",
                        layers,
                        part.units,
                        parts[other].units,
                        part.token_units,
                        torch.cat(keys),
                        call=order.index(name),
                    )
                )
    return views


def _token_count(model: Model, name: str, batch: Batch) -> int:
    embedding: Any = model.embeddings[name]
    return len(embedding.positions) if hasattr(embedding, "positions") else batch.inputs[name].padding.size(1)


def _padded_gradient_inputs(parts: list[InputExplanation]) -> list[GradientInput]:
    """Gradient inputs of all inputs; each tells nothing of the units of the others."""
    sizes, padded = [len(part.units) for part in parts], []
    for number, part in enumerate(parts):
        before, after = torch.zeros(sum(sizes[:number])), torch.zeros(sum(sizes[number + 1 :]))
        for entry in part.gradient_inputs:

            def gather(values: Tensor, entry: Any = entry, before: Any = before, after: Any = after) -> Tensor:
                return torch.cat([before, entry.gather(values), after])

            padded.append(GradientInput(entry.value, entry.baseline, gather, entry.put))
    return padded


def _members(token_units: Tensor, units: int) -> Tensor:
    """1 where a token belongs to a unit, `(units, tokens)`."""
    return (torch.arange(units).unsqueeze(1) == token_units.cpu()).float()

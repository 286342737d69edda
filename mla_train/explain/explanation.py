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
from mla_train.explain.attention_view import AttentionView, self_attention_view
from mla_train.explain.generated_text import decoder_views, with_end
from mla_train.heads.generation import Generation
from mla_train.heads.pooled import PooledHead
from mla_train.modalities.explanation import GradientInput, InputExplanation, PatchUnits, Units
from mla_train.model import Model
from mla_train.nn import AttentionPooling, ClassToken, Encoder
from mla_train.nn.fusion import CrossAttentionFusion


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
    head: Any = model.head
    names = [name for name, tensors in batch.inputs.items() if not bool(tensors.padding.all())]
    with torch.no_grad():
        features = model.encode(batch)
        answer = head.answer_to_explain(features, raw)
        batch.targets = head.encode_answers([answer])
        explained = model.head.explain(model.decode(features, batch), batch)
        embeddings: dict[str, Any] = dict(model.embeddings)
        parts = {
            name: model.spec.inputs[name].explain(name, embeddings[name], batch.inputs[name], raw[name])
            for name in names
        }
        if explained.forecast is not None:
            _append_forecast(list(parts.values()), explained.forecast)
        shown = {name: with_end(part) for name, part in parts.items()}
        views = _self_attention(model, shown, features) + _cross_attention(model, shown, batch)
        if isinstance(head, Generation):
            sizes = {name: _token_count(model, name, batch) for name in model.embeddings}
            views += decoder_views(head, shown, sizes, answer)

    def read(raws: Sequence[Mapping[str, Any]]) -> Batch:
        copies = raw_batch(model.spec, raws)
        copies.targets = head.encode_answers([answer] * len(raws))
        return copies

    def occlude(kept: np.ndarray) -> Batch:
        masks = np.split(kept, np.cumsum([len(part.units) for part in parts.values()])[:-1], 1)
        values = [part.occlude(mask) for part, mask in zip(parts.values(), masks, strict=True)]
        return read([dict(zip(parts, row, strict=True)) for row in zip(*values, strict=True)])

    inputs = _padded_gradient_inputs(list(parts.values()))

    def outputs(values: Sequence[Tensor]) -> Any:
        copies = read([raw] * len(values[0]))
        with ExitStack() as stack:
            for entry, value in zip(inputs, values, strict=True):
                entry.put(stack, copies, value)
            return model(copies)

    units = [part.units for part in parts.values()]
    return Explanation(
        batch, explained.prediction, views, units, occlude, explained.score, explained.name, inputs, outputs
    )


def _append_forecast(parts: list[InputExplanation], forecast: np.ndarray) -> None:
    for part in parts:
        for units in (part.units, part.attended):
            if isinstance(units, PatchUnits):
                units.values = np.concatenate([units.values, forecast])


def _self_attention(model: Model, parts: dict[str, InputExplanation], features: dict[str, Any]) -> list[AttentionView]:
    if not isinstance(model.encoder, Encoder):
        return []
    encoder: Any = model.encoder
    layers = encoder.attention_layers
    order, views, head = list(model.embeddings), [], model.head
    for name, part in parts.items():
        pooling: Any = head.poolings[name] if isinstance(head, PooledHead) else None
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
                part.attended or part.units,
                units,
                positions=positions,
                call=order.index(name),
                row=part.row,
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
    return model.embeddings[name](batch.inputs[name]).tokens.size(1)


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

"""What explains the prediction for one example: its units, the attention between them, and how to occlude them.

Attention maps, statistics of heads and attributions are computed from an `Explanation`, whatever the task.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.data.batch import Batch
from mla_train.dataset import check_given, raw_batch
from mla_train.explain.attention_view import AttentionView, key_units
from mla_train.explain.generated_text import decoder_views, with_end
from mla_train.heads.generation import Generation
from mla_train.heads.pooled import PooledHead
from mla_train.modalities.base import ModalityFeatures
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
    gradient_inputs: list[GradientInput]
    outputs: Callable[[Sequence[Tensor]], Any]

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
    embeddings: dict[str, Any] = dict(model.embeddings)
    with torch.no_grad():
        features = model.encode(batch)
        answer = head.answer_to_explain(features, raw)
        batch.targets = head.encode_answers([answer])
        explained = head.explain(model.decode(features, batch), batch)
        parts = {
            name: modality.explain(name, embeddings[name], batch.inputs[name], raw[name])
            for name, modality in model.spec.inputs.items()
            if not bool(batch.inputs[name].padding.all())
        }
        if explained.forecast is not None:
            for part in parts.values():
                for shown in (part.units, part.attended):
                    if isinstance(shown, PatchUnits):
                        shown.values = np.concatenate([shown.values, explained.forecast])
        views = _attention_views(model, parts, features, answer)

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


def _attention_views(
    model: Model, parts: dict[str, InputExplanation], features: dict[str, ModalityFeatures], answer: Any
) -> list[AttentionView]:
    """Each input over itself, over the other inputs with cross-attention fusion, and generated text over all."""
    parts = {name: with_end(part) for name, part in parts.items()}
    sizes = {name: each.tokens.size(1) for name, each in features.items() if each.tokens is not None}
    order, views = list(model.embeddings), []
    for name, part in parts.items():
        pooling: Any = model.head.poolings[name] if isinstance(model.head, PooledHead) and sizes else None
        query_weights = None
        if isinstance(pooling, ClassToken):  # it stands in front, at no position
            token_units = torch.cat([torch.tensor([-1]), part.token_units])
            positions = torch.cat([torch.full((1, part.positions.size(1)), torch.nan), part.positions.float()])
            part = parts[name] = replace(part, token_units=token_units, positions=positions)
            query_weights = torch.eye(len(token_units))[0]
        elif isinstance(pooling, AttentionPooling):
            query_weights = pooling.score(features[name].tokens)[0, :, 0].softmax(-1)
        if isinstance(model.encoder, Encoder):
            front = (model.encoder.num_registers, 0)
            layers, units = model.encoder.attention_layers, part.attended or part.units
            token_units = F.pad(part.token_units, front, value=-1)
            query_weights = None if query_weights is None else F.pad(query_weights, front)
            view = AttentionView(f"{name} over {name}", layers, units, units, token_units, token_units)
            place: dict[str, Any] = {"call": order.index(name), "row": part.row}
            positions = F.pad(part.positions.float(), (0, 0, *front), value=torch.nan)
            views.append(replace(view, positions=positions, query_weights=query_weights, **place))
    if isinstance(model.fusion, CrossAttentionFusion):
        layers = [model.fusion.block.attention]
        asking = [name for name in parts if model.spec.inputs[name].kind != "image"]
        for name, other in ((name, other) for name in asking for other in parts if other != name):
            # The tokens of all other inputs are the keys, side by side.
            keys = key_units(other, parts, {n: size for n, size in sizes.items() if n != name})
            queries, others = (parts[each].attended or parts[each].units for each in (name, other))
            view = AttentionView(f"{name} over {other}", layers, queries, others, parts[name].token_units, keys)
            views.append(replace(view, call=order.index(name)))
    if isinstance(model.head, Generation):
        views += decoder_views(model.head, parts, sizes, answer)
    return views


def _padded_gradient_inputs(parts: list[InputExplanation]) -> list[GradientInput]:
    """Gradient inputs of all inputs; each tells nothing of the units of the others."""
    total, start, padded = sum(len(part.units) for part in parts), 0, []
    for part in parts:
        others = start, total - start - len(part.units)
        for entry in part.gradient_inputs:

            def gather(values: Tensor, entry: Any = entry, others: tuple[int, int] = others) -> Tensor:
                return F.pad(entry.gather(values), others)

            padded.append(replace(entry, gather=gather))
        start += len(part.units)
    return padded

"""An example of several modalities as people see it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mla_train.data.texts import clean
from mla_train.data.tokenizers import UNK_ID
from mla_train.errors import UserError
from mla_train.explain.explanation import (
    AttentionView,
    CellUnits,
    Explanation,
    GradientInput,
    Units,
    WordUnits,
    image_gradient_input,
    occlude_cells,
    replaced_output,
    self_attention_view,
)
from mla_train.explain.text_units import TextUnits
from mla_train.training.task import Raw
from tasks.multimodal_sentiment.data import MultimodalBatch
from tasks.multimodal_sentiment.fusion import CrossAttention

if TYPE_CHECKING:
    from tasks.multimodal_sentiment.task import MultimodalSentimentTask

Put = Callable[[ExitStack, MultimodalBatch, Tensor], None]


class ModalityView:
    """One modality of an example.

    Args:
        task: With its network.
        name: Of the modality.
        batch: The example alone.
        raw: The same as it was given.

    Attributes:
        shown: Its words, cells or steps.
        of: In which of them each token stands, `(tokens,)`.
        places: Of the tokens, `(tokens, axes)`.
        gradient_inputs: What gradients are taken from, and how a value of it is put into a batch.
    """

    def __init__(self, task: "MultimodalSentimentTask", name: str, batch: MultimodalBatch, raw: Raw) -> None:
        self.name, self.raw, facts, network = name, raw[name], task.facts, task.network
        self.shown: Units
        self.gradient_inputs: list[tuple[GradientInput, Put]] = []
        given = batch.inputs[name]
        embedding: Any = network.embeddings[name]
        if name in facts.images:
            self.shown = CellUnits(given[0], embedding.tokenizer.grid)
            self.mean = torch.tensor(facts.images[name].mean)
            self.gradient_inputs.append((image_gradient_input(self.shown), self._put_input))
            self.places = embedding.positions
        elif name in facts.texts:
            reader = task.readers[name]
            self.text = TextUnits(clean(self.raw), reader.tokenizer, reader.max_length)
            if not len(self.text.token_units):
                raise UserError(f"{name} has no token that this model reads")
            self.shown = self.text.units
            unknown = torch.full_like(given, UNK_ID)
            gradient_input = GradientInput(embedding(given), embedding(unknown), self.text.gather)
            self.gradient_inputs.append(
                (gradient_input, lambda stack, _, value: stack.enter_context(replaced_output(embedding, value)))
            )
            if name in network.terms and len(batch.terms[name][0]):
                numbers, weights, _ = batch.terms[name]
                assert reader.terms is not None
                shares = self.text.term_shares(reader.terms, numbers.numpy())
                gradient_input = GradientInput(
                    weights.unsqueeze(0), torch.zeros(1, len(weights)), lambda found: shares @ found[0]
                )
                self.gradient_inputs.append((gradient_input, self._put_terms))
        else:
            self.shown = WordUnits([f"{name} {step + 1}" for step in range(given.size(1))])
            blank = torch.tensor(facts.features[name].mean).expand_as(given)
            self.gradient_inputs.append((GradientInput(given, blank, lambda found: found[0].sum(-1)), self._put_input))
        self.of = self.text.token_units if name in facts.texts else torch.arange(len(self.shown))
        if name not in facts.images:
            self.places = torch.arange(len(self.of)).unsqueeze(1)

    def _put_input(self, _: ExitStack, batch: MultimodalBatch, value: Tensor) -> None:
        batch.inputs[self.name] = value

    def _put_terms(self, _: ExitStack, batch: MultimodalBatch, value: Tensor) -> None:
        numbers, _weights, offsets = batch.terms[self.name]
        batch.terms[self.name] = numbers, value.flatten(), offsets

    def occlude(self, kept: np.ndarray) -> list[Any]:
        """What is left of it, one for each row of a mask `(examples, units)`."""
        if isinstance(self.shown, CellUnits):
            return list(occlude_cells(self.shown, kept, self.mean))
        if hasattr(self, "text"):
            return [self.text.occlude(row) for row in kept]
        return [self.raw[row.astype(bool)] for row in kept]


@torch.no_grad()
def view_example(task: "MultimodalSentimentTask", raw: Raw) -> Explanation:
    """Each modality over itself and words over the others; words, cells and steps as units.

    Args:
        task: With its network.
        raw: The modalities that are there.

    Raises:
        UserError: There is none, or a text holds nothing that is a token.
    """
    batch, network = task.read([raw]), task.network
    names = task.facts.modalities
    parts = {name: ModalityView(task, name, batch, raw) for name in names if not bool(batch.missing(name))}
    if not parts:
        raise UserError(f"nothing of {', '.join(names)} is given")
    layers = network.encoder.attention_layers
    views = [
        self_attention_view(
            f"{name} over {name}", layers, part.shown, part.of, positions=part.places, call=names.index(name)
        )
        for name, part in parts.items()
    ]
    if isinstance(network.fusion, CrossAttention) and len(names) > 1:
        views += _views_between(parts, names, batch, network)

    def occlude(kept: np.ndarray) -> MultimodalBatch:
        borders = np.cumsum([len(part.shown) for part in parts.values()])[:-1]
        masks = np.split(kept, borders, 1)
        left = [part.occlude(mask) for part, mask in zip(parts.values(), masks, strict=True)]
        return task.read([dict(zip(parts, row, strict=True)) for row in zip(*left, strict=True)])

    # Each gradient_input belongs to one modality and says nothing of the units of others.
    sizes = [len(part.shown) for part in parts.values()]
    gradient_inputs, puts = [], []
    for number, part in enumerate(parts.values()):
        before, behind = sum(sizes[:number]), sum(sizes[number + 1 :])
        for gradient_input, put in part.gradient_inputs:

            def gather(
                found: Tensor,
                gradient_input: GradientInput = gradient_input,
                before: int = before,
                behind: int = behind,
            ) -> Tensor:
                return torch.cat([torch.zeros(before), gradient_input.gather(found), torch.zeros(behind)])

            gradient_inputs.append(GradientInput(gradient_input.value, gradient_input.baseline, gather))
            puts.append(put)

    def outputs(values: Sequence[Tensor]) -> Tensor:
        copies = task.read([raw] * len(values[0]))
        with ExitStack() as stack:
            for put, value in zip(puts, values, strict=True):
                put(stack, copies, value)
            return network(copies)

    score, score_name, prediction = task.explained(batch)
    units = [part.shown for part in parts.values()]
    return Explanation(batch, prediction, views, units, occlude, score, score_name, gradient_inputs, outputs)


def _views_between(
    parts: dict[str, ModalityView], names: list[str], batch: MultimodalBatch, network: Any
) -> list[AttentionView]:
    """Words and steps over each other modality: all others stand behind each other as keys."""
    sizes = {
        name: network.embeddings[name].positions.size(0)
        if name in network.facts.images
        else batch.padding[name].size(1)
        for name in names
    }
    views = []
    for name, part in parts.items():
        if isinstance(part.shown, CellUnits):
            continue
        for other in parts:
            if other == name:
                continue
            of = [parts[n].of if n == other else torch.full((sizes[n],), -1) for n in names if n != name]
            views.append(
                AttentionView(f"{name} over {other}", [network.fusion.look.attention], part.shown, parts[other].shown, part.of,
                     torch.cat(of), call=names.index(name))
            )  # fmt: skip
    return views

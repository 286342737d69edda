"""A sentence with its translation as people see it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mla_train.data.tokenizers import END_ID, PAD_ID, UNK_ID
from mla_train.errors import UserError
from mla_train.explain.explanation import (
    AttentionView,
    Explanation,
    GradientInput,
    WordUnits,
    replaced_output,
    self_attention_view,
)
from mla_train.explain.text_units import TextUnits
from mla_train.training.task import Raw
from tasks.translation.data import TranslationBatch, clean
from tasks.translation.network import Translator

if TYPE_CHECKING:
    from tasks.translation.task import TranslationTask


@torch.no_grad()
def view_pair(task: "TranslationTask", raw: Raw) -> Explanation:
    """Source over source, target over source and over itself; source words as units of the target's probability.

    Args:
        task: With its network.
        raw: The source, and perhaps the target; else it is what the model writes.

    Raises:
        UserError: The source is empty.
    """
    facts, network = task.facts, task.network
    batch = task.read([raw])
    source, target = clean(raw["source"]), batch.references[0]
    if not target:
        target = clean(task.translate(batch.source, beams=task.options.beams)[0])  # `read` cleans it, too
    whole = {"source": source, "target": target}
    batch = task.read([whole])
    reading = TextUnits(source, task.reading, facts.max_length)
    writing = TextUnits(target, task.written, facts.max_length)
    if not len(reading.token_units):
        raise UserError("the source is empty")
    read, written = _ended(reading), _ended(writing)
    views = []
    if isinstance(network, Translator):
        blocks: Any = network.decoder.blocks
        own = network.encoder.attention_layers
        # The decoder reads the start and all written tokens but the end.
        heard = WordUnits(["start", *writing.units.labels]), torch.cat([torch.tensor([0]), writing.token_units + 1])
        views = [
            self_attention_view("source over source", own, read[0], read[1]),
            AttentionView("target over source", [b.cross_attention for b in blocks], written[0], read[0], written[1], read[1]),
            AttentionView("target over target", [b.attention for b in blocks], written[0], heard[0], written[1], heard[1],
                 positions=torch.arange(len(heard[1])).unsqueeze(1)),
        ]  # fmt: skip

    def occlude(kept: np.ndarray) -> TranslationBatch:
        return task.read([{"source": reading.occlude(row), "target": target} for row in kept])

    def score(outputs: Tensor) -> Tensor:
        following = batch.target[:, 1:].expand(len(outputs), -1)
        chances = outputs.float().log_softmax(-1).gather(-1, following.unsqueeze(-1)).squeeze(-1)
        return chances.masked_fill(following == PAD_ID, 0).sum(-1)

    table = network.embeddings.written if network.embeddings.read is None else network.embeddings.read
    unknown = batch.source.masked_fill(batch.source != END_ID, UNK_ID)

    def outputs(values: Sequence[Tensor]) -> Tensor:
        copies = task.read([whole] * len(values[0]))
        with replaced_output(table, values[0]):  # the source is embedded first
            return network(copies.source, copies.read)

    gradient_input = GradientInput(table(batch.source), table(unknown), reading.gather)
    score_name = "the log probability of the translation"
    return Explanation(batch, target, views, [reading.units], occlude, score, score_name, [gradient_input], outputs)


def _ended(units: TextUnits) -> tuple[WordUnits, Tensor]:
    """Words of a text and of which each token is one, the end token included."""
    end = len(units.units)
    return WordUnits([*units.units.labels, "end"]), torch.cat([units.token_units, torch.tensor([end])])

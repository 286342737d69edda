"""A text as people see it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mla_train.data.texts import clean
from mla_train.data.tokenizers import UNK_ID
from mla_train.errors import UserError
from mla_train.explain.explanation import Explanation, GradientInput, replaced_output, self_attention_view
from mla_train.explain.text_units import TextUnits
from mla_train.training.task import Raw

if TYPE_CHECKING:
    from tasks.text_classification.task import TextClassificationTask


def view_text(task: "TextClassificationTask", raw: Raw) -> Explanation:
    """Words over words; words as units, of which some are taken out of the text.

    Args:
        task: With its network.
        raw: The text.

    Raises:
        UserError: It is empty, or holds nothing that is a token.
    """
    batch, network = task.read([raw]), task.network
    text = clean(raw["text"])
    units = TextUnits(text, task.reader.tokenizer, task.facts.max_length)
    if not len(units.token_units):
        raise UserError("the text has no token that this model reads")
    layers = network.encoder.attention_layers
    view = self_attention_view("words over words", layers, units.units, units.token_units)

    def occlude(kept: np.ndarray) -> Any:
        return task.read([{"text": units.occlude(row)} for row in kept])

    # Gradients are taken with respect to embedded tokens and the weights of terms. The baseline is unknown tokens: at
    # zero the encoder's norms are not continuous.
    table: Any = network.embedding
    unknown = torch.full_like(batch.tokens, UNK_ID)
    with torch.no_grad():
        gradient_inputs = [GradientInput(table(batch.tokens), table(unknown), units.gather)]
    if network.terms is not None and len(batch.terms):
        assert task.reader.terms is not None
        weights = batch.weights.unsqueeze(0)
        shares = units.term_shares(task.reader.terms, batch.terms.numpy())
        gradient_inputs.append(GradientInput(weights, torch.zeros_like(weights), lambda found: shares @ found[0]))

    def outputs(values: Sequence[Tensor]) -> Tensor:
        copies = task.read([raw] * len(values[0]))
        if len(values) > 1:
            copies = replace(copies, weights=values[1].flatten())
        with replaced_output(table, values[0]):
            return network(copies)

    score, score_name, prediction = task.explained(batch)
    return Explanation(batch, prediction, [view], [units.units], occlude, score, score_name, gradient_inputs, outputs)

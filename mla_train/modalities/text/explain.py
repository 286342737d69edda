"""The units of a text: the word of each token, occlusion of words, and shares of words in TF-IDF features."""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from mla_train.data.batch import Batch
from mla_train.data.tokenizers import END_ID, UNK_ID
from mla_train.errors import UserError
from mla_train.modalities.explanation import GradientInput, InputExplanation, WordUnits, replaced_output
from mla_train.modalities.text.embed import TextEmbedding
from mla_train.modalities.text.spec import TextSpec, TextTensors

if TYPE_CHECKING:
    from mla_train.data.tfidf import TfidfFeatures

MIN_WORDS = 4  # a text with fewer words is shown by its tokens


class TextUnits:
    """A cleaned text in words, or in tokens if it has few words, as far as a model reads it, which shortens its tokens.

    Attributes:
        units: The words or tokens.
        token_units: Index of each token's unit, `(tokens,)`.
    """

    def __init__(self, text: str, tokenizer: Tokenizer, shorten: Callable[[Any], Any]) -> None:
        self.text = text
        offsets = shorten(tokenizer.encode(text).offsets)
        spans = [match.span() for match in re.finditer(r"\S+", text)]
        if len(spans) < MIN_WORDS:
            spans = sorted({span for span in offsets if text[slice(*span)].strip()}) or spans
        self.spans = spans
        self.units = WordUnits([text[a:b].strip() for a, b in spans])
        # A token between words, such as a blank, belongs to the word before; a token may start with a blank.
        starts = [a + len(text[a:b]) - len(text[a:b].lstrip()) for a, b in offsets]
        indices = np.searchsorted([a for a, _ in spans], np.array(starts, dtype=int), side="right") - 1
        self.token_units = torch.from_numpy(indices.clip(min=0))

    def occlude(self, kept: Sequence[bool] | np.ndarray) -> str:
        """The text without the units whose place in a mask `(units,)` is False."""
        pieces, end = [], 0
        for is_kept, (a, b) in zip(kept, self.spans, strict=True):
            pieces.append(self.text[end : b if is_kept else a])
            end = b
        return " ".join(("".join(pieces) + self.text[end:]).split())

    def gather(self, embedded: Tensor) -> Tensor:
        """Sums of embedded tokens `(1, tokens, dim)` over each unit, `(units,)`; an end token has no unit."""
        return torch.zeros(len(self.units)).index_add(0, self.token_units, embedded[0, : len(self.token_units)].sum(-1))

    def tfidf_shares(self, tfidf: "TfidfFeatures", numbers: np.ndarray) -> Tensor:
        """Share of each unit in some of the text's TF-IDF features: equal shares for all units that contain an n-gram.

        An n-gram that no single unit contains belongs to the neighbours that contain it together, else to all.

        Args:
            tfidf: Features that the model knows.
            numbers: Numbers of the text's features, `(features,)`.

        Returns:
            `(units, features)`; columns sum to one.
        """
        labels = self.units.labels
        shares = (tfidf.matrix(labels)[:, numbers].toarray() != 0).astype(np.float32)
        is_missing = ~shares.any(0)
        if len(labels) > 1 and is_missing.any():
            ends = [(self.spans[i][0], self.spans[i + 1][1]) for i in range(len(labels) - 1)]
            pairs = tfidf.matrix([self.text[a:b] for a, b in ends])[:, numbers].toarray() != 0
            shares[:-1] += pairs * is_missing
            shares[1:] += pairs * is_missing
        shares[:, ~shares.any(0)] = 1
        return torch.from_numpy(shares / shares.sum(0))


def explain_text(
    name: str,
    spec: TextSpec,
    tokenizer: Tokenizer,
    tfidf: "TfidfFeatures | None",
    embedding: TextEmbedding,
    tensors: TextTensors,
    text: str,
) -> InputExplanation:
    """Words of a text as units; gradients are taken with respect to embedded tokens and to weights of TF-IDF features.

    See `Modality.explain`; the text is cleaned.

    Raises:
        UserError: The text has no token, or is read in several windows.
    """
    if tensors.windows is not None:
        raise UserError(
            f"{name} has more than {spec.max_length} tokens and is read in windows, which are not explained: give a shorter one"
        )
    units = TextUnits(text, tokenizer, spec.shorten)
    if not len(units.token_units):
        raise UserError(f"{name} has no token that this model reads")
    # At zero the norms of the encoder are not continuous: the baseline are unknown tokens.
    is_end = (tensors.tokens == END_ID) & spec.end_token
    unknown = torch.full_like(tensors.tokens, UNK_ID).masked_fill(is_end, END_ID)

    def put_tokens(stack: ExitStack, _: Batch, values: Tensor) -> None:
        stack.enter_context(replaced_output(embedding.tokens, values))

    inputs = [GradientInput(embedding.tokens(tensors.tokens), embedding.tokens(unknown), units.gather, put_tokens)]
    if "tfidf" in embedding.side_paths and tfidf and tensors.features is not None and len(tensors.features):
        assert tensors.weights is not None
        weights, numbers, known = tensors.weights.unsqueeze(0), tensors.features.numpy(), tfidf

        def gather(weights: Tensor) -> Tensor:
            # Only here, where they are asked for: the shares of a long text take gigabytes.
            return units.tfidf_shares(known, numbers) @ weights[0]

        def put_weights(_: ExitStack, batch: Batch, values: Tensor) -> None:
            batch.inputs[name].weights = values.flatten()

        inputs.append(GradientInput(weights, torch.zeros_like(weights), gather, put_weights))
    token_units = torch.cat([units.token_units, torch.full((int(is_end.sum()),), -1)])
    positions = torch.arange(len(token_units)).unsqueeze(1)

    def occlude(kept: np.ndarray) -> list[Any]:
        return [units.occlude(row) for row in kept]

    return InputExplanation(units.units, token_units, positions, occlude, inputs)

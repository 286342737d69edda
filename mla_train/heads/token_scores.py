"""What heads share that score the tokens of a text: the text is its own label, and the embeddings are the output matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.data.batch import Batch, pad_stack
from mla_train.data.tokenizers import PAD_ID, read_tokenizer
from mla_train.heads.base import Embeddings
from mla_train.heads.unlabelled import Unlabelled


@dataclass
class TokenLabels:
    """The true token at each place of a batch that is scored, 0 everywhere else, `(batch, length)`."""

    tokens: Tensor

    @property
    def places(self) -> Tensor:
        """True where a token is scored, `(batch, length)`."""
        return self.tokens != PAD_ID


class TokenScores(Unlabelled):
    """Scores of all tokens of the vocabulary at some places of a text.

    `forward` returns True at these places, `(batch, length)`, and the scores there, `(places, vocab_size)`: the vocabulary is
    the largest matrix, so that no other place is multiplied by it. A subclass has a `spec` that names the input, `text`.
    """

    even_tokens = True

    def __init__(self, spec: Any, embeddings: Embeddings) -> None:
        super().__init__()
        self.spec = spec
        # A tuple is no submodule: the weights stand in the input's embedding alone (Press and Wolf 2017).
        self._shared = (embeddings[spec.text],)

    @cached_property
    def tokenizer(self) -> Any:
        """Tokenizer of the texts."""
        spec = self._shared[0].spec
        return read_tokenizer(spec.tokenizer, spec.vocab_size)

    @classmethod
    def collate(cls, spec: Any, targets: Sequence[np.ndarray], training: bool) -> TokenLabels:
        """The true tokens of each text."""
        return TokenLabels(pad_stack([torch.from_numpy(each.astype(np.int64)) for each in targets])[0])

    def loss(self, outputs: tuple[Tensor, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy, and the number of places."""
        places, scores = outputs
        return F.cross_entropy(scores, batch.targets.tokens[places], reduction="sum"), places.sum().clamp(min=1)

    def r_drop_loss(self, first: Any, second: Any, batch: Batch) -> Tensor:
        """Divergence of two passes, summed over places."""
        return super().r_drop_loss(first[1], second[1], batch)

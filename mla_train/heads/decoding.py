"""The decoding of a text: what is read of the inputs, and the state on which a search goes from token to token."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mla_train.heads.base import padding_of
from mla_train.modalities.base import ModalityFeatures


class Memory(NamedTuple):
    """What a decoder reads of the inputs.

    Attributes:
        states: Encoded tokens of all inputs side by side, `(rows, length, dim)`.
        padding: True at padding, `(rows, length)`; None where there is none.
        ids: Number of each token that can be copied, `(rows, length)`, 0 at others; None where nothing is copied.
    """

    states: Tensor
    padding: Tensor | None = None
    ids: Tensor | None = None

    def select(self, rows: Tensor) -> "Memory":
        """Some of the rows."""
        return Memory(*(None if each is None else each[rows] for each in self))  # type: ignore[arg-type]


class Decoding:
    """The state of a decoding under way, on the caches of a head's decoder; see `DecoderState`.

    With `task.coverage_penalty` each token is penalized by what it copies again: the sum over the source of the smaller of the
    probability of a copy and of the sum of those before (See et al. 2017).
    """

    def __init__(self, head: Any, memory: Memory) -> None:
        self.head, self.memory = head, memory
        self.cache = head.decoder.new_cache()
        self.copied: Tensor | None = None

    def step(self, tokens: Tensor) -> Tensor:
        """Log probabilities of the next token of each row, less the penalty of the row, `(rows, vocab_size)`."""
        x = self.head.decode_states(tokens.unsqueeze(1), self.memory, self.cache)
        log_probs = self.head.score(x, self.memory)[:, -1].float().log_softmax(-1)
        penalty = self.head.options.coverage_penalty
        return log_probs - penalty * self._copied_again(x) if penalty else log_probs

    def _copied_again(self, x: Tensor) -> Tensor:
        """What is copied a second time, `(rows, 1)`."""
        copies = self.head.copies(x, self.memory).view(len(x), -1)
        copied = torch.zeros_like(copies) if self.copied is None else self.copied
        self.copied = copied + copies
        return torch.minimum(copies, copied).sum(-1, keepdim=True)

    def reorder(self, rows: Tensor) -> None:
        """Keeps these beams."""
        self.cache.reorder(rows)
        self.copied = None if self.copied is None else self.copied[rows]

    def keep(self, sources: Tensor) -> None:
        """Keeps these sources."""
        self.cache.keep(sources)
        self.memory = self.memory.select(sources)


def join_features(features: Mapping[str, ModalityFeatures]) -> tuple[Tensor, Tensor | None]:
    """Encoded tokens of all inputs side by side, `(batch, length, dim)`, and True at padding, `(batch, length)`."""
    tokens = torch.cat([each.tokens for each in features.values() if each.tokens is not None], 1)
    if all(each.padding is None for each in features.values()):
        return tokens, None
    padding = torch.cat([padding_of(each) for each in features.values()], 1)
    return tokens, padding & ~padding.all(1, keepdim=True)  # attention needs something to attend to

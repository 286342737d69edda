"""Texts that a language model is writing: what it has read of them, and tokens that it reads ahead on a guess."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mla_train.data.tokenizers import END_ID, START_ID

LONGEST, SHORTEST = 4, 2  # tokens at the end of a text that are looked up in it


class Continuation:
    """Texts that are being continued; see `DecoderState`.

    A text that fills a piece of training is read anew from the last half of its tokens: the network knows no longer ones.

    A single text may be read ahead: what followed its last tokens where they stood before is guessed to follow again, and read
    in the same step as the newest token. Where the guess is what is chosen then, its scores are there already (speculative
    decoding, Leviathan et al. 2022, arXiv 2211.17192, with prompt lookup as the drafter, Saxena 2023).

    Args:
        head: Head that continues them, a `NextTokens`.
        tokens: Tokens of each text with the start token in front, `(rows, length)`.
        lookup: Number of tokens that are read ahead.
    """

    def __init__(self, head: Any, tokens: Tensor, lookup: int = 0) -> None:
        self.head, self.tokens = head, tokens
        self.unread: Tensor | None = tokens
        self.longest: int = head._shared[0].spec.max_length
        (self.encoder,) = head._encoder
        self.cache = self._new_cache()
        self.lookup = lookup if self.cache is not None and len(tokens) == 1 else 0
        self.guessed: list[int] = []  # tokens in the cache behind those of the text
        self.ahead: list[Tensor] = []  # log probabilities of the next token behind each of them
        self.steps_saved = 0

    def _new_cache(self) -> Any:
        return self.encoder.new_cache() if self.encoder.can_cache else None

    def step(self, tokens: Tensor) -> Tensor:
        """Log probabilities of the next token of each row, `(rows, vocab_size)`; the first call reads the texts, not the tokens."""
        if self.unread is None:
            self.tokens = torch.cat([self.tokens, tokens.unsqueeze(1)], dim=1)
            self.unread = self.tokens[:, -1:]
            if self.guessed and self.guessed.pop(0) == int(tokens[0]):
                self.unread, self.steps_saved = None, self.steps_saved + 1
                return self.ahead.pop(0)
            self._forget_guesses()
        if self.tokens.size(1) > self.longest:
            last = self.tokens[:, -max(1, self.longest // 2) :]
            self.tokens = self.unread = torch.cat([torch.full_like(last[:, :1], START_ID), last], dim=1)
            self.cache = self._new_cache()
        read = self.tokens if self.cache is None else self.unread
        certain = read.size(1) - 1
        if self.lookup:
            room = self.longest - self.tokens.size(1)
            self.guessed = continued_before(self.tokens[0].tolist(), min(self.lookup, room))
            read = torch.cat([read, read.new_tensor([self.guessed])], dim=1)
        encoded = self.encoder(self.head.embed_tokens(read), is_causal=True, cache=self.cache)
        self.unread = None
        scores = self.head.scores(encoded[:, certain:]).float()
        scores[..., :END_ID] = -torch.inf  # neither padding nor a start is ever written
        log_probs = scores.log_softmax(-1)
        self.ahead = list(log_probs[:, 1:].unbind(1))
        return log_probs[:, 0]

    def _forget_guesses(self) -> None:
        """Leaves in the cache what the text has without its newest token."""
        self.guessed, self.ahead = [], []
        if self.lookup:
            for each in self.cache:
                each.crop(self.tokens.size(1) - 1)

    def reorder(self, rows: Tensor) -> None:
        """Keeps these texts."""
        self.tokens = self.tokens[rows]
        for each in self.cache or ():
            each.reorder(rows)

    def keep(self, sources: Tensor) -> None:
        """Nothing else is kept of texts."""


def continued_before(tokens: Sequence[int], count: int) -> list[int]:
    """What followed the last tokens of a text where they last stood before, at most `count` tokens; as many of them as possible."""
    for size in range(LONGEST, SHORTEST - 1, -1):
        end = list(tokens[-size:])
        for place in range(len(tokens) - size - 1, -1, -1):
            if tokens[place + size - 1] == end[-1] and list(tokens[place : place + size]) == end:
                return list(tokens[place + size : place + size + count])
    return []

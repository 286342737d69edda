"""Texts that are lists of words: those on which random texts of a model agree.

The most probable text is seldom the one with the most right words: where a word is uncertain, a wrong one costs more than
none. So the words are chosen whose expected F1 is largest, by texts that are drawn from the model (minimum Bayes risk,
Kumar and Byrne 2004; for the F1 of sets, Dembczynski et al. 2011, which is exact).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mla_train.config import TrainConfig
from mla_train.data.batch import Batch
from mla_train.data.tokenizers import END_ID, START_ID, read_tokenizer
from mla_train.heads.base import Embeddings
from mla_train.heads.decoding import Decoding, Memory
from mla_train.heads.generation import Generation
from mla_train.heads.masked_tokens import word_starts
from mla_train.heads.text_targets import GenerationSpec
from mla_train.nn import Hypothesis

DRAWS = 32  # texts of an example
SHUFFLED = 0.5  # share of the training texts whose words are put into a random order


class Keywords(Generation):
    """A generated text, which with `data.keywords` is the list of words on which random texts agree."""

    def __init__(
        self, config: TrainConfig, spec: GenerationSpec, embeddings: Embeddings, sequences: bool = False
    ) -> None:
        super().__init__(config, spec, embeddings, sequences)
        self.keywords = getattr(config.data, "keywords", False)

    def generate(
        self,
        memory: Memory,
        beams: int = 1,
        temperature: float | None = None,
        top_p: float = 1.0,
        n_best: int = 1,
    ) -> list[list[Hypothesis]]:
        """See `Generation.generate`; with `data.keywords` the words on which random texts agree come first.

        Their score is the F1 of words that is expected.
        """
        if not self.keywords or temperature is not None:
            return super().generate(memory, beams, temperature, top_p, n_best)
        count, device = len(memory.states), memory.states.device
        rows = memory.select(torch.arange(count, device=device).repeat_interleave(DRAWS))
        draws = draw_tokens(Decoding(self, rows), count, self.spec.max_length + 1, device)
        best = []
        for each in draws.tolist():
            texts = self.tokenizer.decode_batch([until_end(tokens) for tokens in each])
            words, score = agreed_words([text.split() for text in texts])
            best.append([Hypothesis(tuple(self.tokenizer.encode(" ".join(words)).ids), score)])
        if n_best == 1:
            return best
        others = super().generate(memory, beams, n_best=n_best - 1)
        return [[*first, *more] for first, more in zip(best, others, strict=True)]


def word_shuffler(spec: GenerationSpec) -> Callable[[Batch], None]:
    """`shuffle_words` for the tokens of target texts."""
    return partial(shuffle_words, starts=word_starts(read_tokenizer(spec.tokenizer)))


def shuffle_words(batch: Batch, starts: Tensor) -> None:
    """Puts the words of some target texts into a random order, so that lists are not learnt by heart.

    Args:
        batch: Training batch.
        starts: True for tokens that begin a word, `(vocab_size,)`.
    """
    tokens = batch.targets.tokens.clone()
    for place in (torch.rand(len(tokens)) < SHUFFLED).nonzero().flatten().tolist():
        row = tokens[place]
        words = row[1 : int((row == END_ID).nonzero()[0])]
        chances = torch.rand(len(words) + 1)[starts[words].cumsum(0)]  # one for all tokens of a word
        words.copy_(words[chances.argsort(stable=True)])
    batch.targets = replace(batch.targets, tokens=tokens)


@torch.no_grad()
def draw_tokens(state: Decoding, sources: int, length: int, device: Any) -> Tensor:
    """Random sequences of each source, which depend on nothing else, `(sources, DRAWS, length)`.

    Args:
        state: Decoder state with `DRAWS` rows a source.
        sources: Number of sources.
        length: Number of tokens; those behind an end token mean nothing.
        device: Device of the state.
    """
    # Of each step the chances are spread evenly (Latin hypercube), so that few draws show the whole distribution.
    order = torch.rand(DRAWS, length, generator=torch.Generator().manual_seed(0)).argsort(0)
    chances = ((order + 0.5) / DRAWS).repeat(sources, 1).to(device)
    tokens = torch.full((len(chances),), START_ID, device=device)
    has_ended, written = torch.zeros_like(tokens, dtype=torch.bool), []
    for step in range(length):
        total = state.step(tokens).float().softmax(-1).cumsum(-1)
        tokens = torch.searchsorted(total, chances[:, step : step + 1] * total[:, -1:]).squeeze(1)
        written.append(tokens)
        has_ended |= tokens == END_ID
        if bool(has_ended.all()):
            break
    return torch.stack(written, 1).unflatten(0, (sources, DRAWS))


def until_end(tokens: list[int]) -> list[int]:
    """Tokens before the end token."""
    return tokens[: tokens.index(END_ID)] if END_ID in tokens else tokens


def agreed_words(texts: Sequence[Sequence[str]]) -> tuple[list[str], float]:
    """The words whose expected F1 is largest, each text being as probable, and that F1.

    The F1 of so many words is a sum over them: for each number the best are those with the largest terms.

    Args:
        texts: Words of each text; a repeated word counts once.

    Returns:
        The words in the order in which texts have them.
    """
    known = list(dict.fromkeys(word for text in texts for word in text))
    if not known:
        return [], 1.0
    has = np.array([[word in text for word in known] for text in texts], dtype=float)
    terms = (2 / (np.arange(1, len(known) + 1)[:, None] + has.sum(1))) @ has / len(texts)  # (number of words, words)
    order = np.argsort(-terms, axis=1, kind="stable")
    values = np.take_along_axis(terms, order, 1).cumsum(1).diagonal()
    count, nothing = int(values.argmax()), float((has.sum(1) == 0).mean())
    if nothing >= values[count]:
        return [], nothing
    words = [known[place] for place in order[count, : count + 1]]
    return sorted(words, key=lambda word: _usual_place(word, texts)), float(values[count])


def _usual_place(word: str, texts: Sequence[Sequence[str]]) -> float:
    """Mean place of a word in the texts that have it, from 0 to 1."""
    return float(np.mean([list(each).index(word) / len(each) for each in texts if word in each]))

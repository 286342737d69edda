"""Beam search against a plain one: one source at a time, lists, no cache."""

import pytest
import torch
from torch import nn

from mla_train.config import AttentionConfig, AttentionKind, EncoderConfig, RegularizationConfig
from mla_train.nn import Decoder, beam_search, sample

START, END, VOCAB = 1, 2, 11
SIZES = EncoderConfig(dim=16, depth=2, num_heads=2)


class Toy(nn.Module):
    """A decoder with random weights, sharp enough that its choices differ."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(VOCAB, 16)
        self.decoder = Decoder(SIZES, AttentionConfig(kind), AttentionConfig(kind), RegularizationConfig())
        self.head = nn.Linear(16, VOCAB)
        nn.init.normal_(self.head.weight, std=0.6)

    def forward(self, tokens, memory, mask, cache=None):
        return self.head(self.decoder(self.embedding(tokens), memory, mask, cache))


class ToyStepper:
    """The toy under way, on its cache."""

    def __init__(self, model, memory, mask):
        self.model, self.memory, self.mask = model, memory, mask
        self.cache = model.decoder.new_cache()
        self.rows = []

    def step(self, tokens):
        self.rows.append(len(tokens))
        return self.model(tokens.unsqueeze(1), self.memory, self.mask, self.cache)[:, -1].log_softmax(-1)

    def reorder(self, rows):
        self.cache.reorder(rows)

    def keep(self, sources):
        self.cache.keep(sources)
        self.memory, self.mask = self.memory[sources], self.mask[sources]


def plain_beam_search(model, memory, mask, limit, beams, penalty, least=0):
    """Follows the definition, for one source."""
    running, finished = [((START,), 0.0)], []
    for length in range(1, limit + 1):
        candidates = []
        for tokens, score in running:
            log_probs = model(torch.tensor([tokens]), memory, mask)[0, -1].log_softmax(-1).tolist()
            following = [END] if length == limit else [t for t in range(VOCAB) if t != END or length > least]
            candidates += [((*tokens, token), score + log_probs[token]) for token in following]
        candidates.sort(key=lambda c: -c[1])
        candidates = candidates[: 2 * beams]
        finished += [(c[1:-1], s / length**penalty) for c, s in candidates[:beams] if c[-1] == END]
        finished = sorted(finished, key=lambda f: -f[1])[:beams]
        running = [(c, s) for c, s in candidates if c[-1] != END][:beams]
        if not running or (
            len(finished) == beams and (beams == 1 or running[0][1] / limit**penalty <= finished[-1][1])
        ):
            break
    return finished


@pytest.fixture
def sources():
    torch.manual_seed(5)
    memory, mask = torch.randn(6, 4, 16) * 2, torch.zeros(6, 4, dtype=torch.bool)
    mask[1, 2:] = mask[4, 3:] = True
    return memory, mask, [8, 3, 12, 1, 9, 10]


@pytest.mark.parametrize("kind", [AttentionKind.mla, AttentionKind.mha])
@pytest.mark.parametrize(("beams", "penalty"), [(1, 1.0), (3, 1.0), (5, 0.0), (4, 0.6)])
@torch.no_grad()
def test_equal_to_a_plain_uncached_search(kind, beams, penalty, sources):
    memory, mask, limits = sources
    model = Toy(kind).eval()
    stepper = ToyStepper(model, memory, mask)
    found = beam_search(stepper, limits, start=START, end=END, beams=beams, length_penalty=penalty, n_best=beams)
    for i, limit in enumerate(limits):
        expected = plain_beam_search(model, memory[i : i + 1], mask[i : i + 1], limit, beams, penalty)
        assert [f.tokens for f in found[i]] == [tokens for tokens, _ in expected]
        assert [f.score for f in found[i]] == pytest.approx([score for _, score in expected], abs=1e-5)
    assert stepper.rows[0] == 6 * beams
    assert stepper.rows[-1] < 6 * beams  # finished sources have left


@torch.no_grad()
def test_sequences_are_as_long_as_asked_for_unless_at_their_limit(sources):
    memory, mask, limits = sources
    model = Toy(AttentionKind.mla).eval()
    for beams in (1, 3):
        stepper = ToyStepper(model, memory, mask)
        found = beam_search(stepper, limits, start=START, end=END, beams=beams, min_length=5)
        for i, limit in enumerate(limits):
            expected = plain_beam_search(model, memory[i : i + 1], mask[i : i + 1], limit, beams, 1.0, least=5)
            assert found[i][0].tokens == expected[0][0]
            assert len(found[i][0].tokens) >= min(5, limit - 1)
    drawn = sample(ToyStepper(model, memory, mask), limits, start=START, end=END, min_length=5)
    assert all(min(5, limit - 1) <= len(each.tokens) < limit for each, limit in zip(drawn, limits, strict=True))


@torch.no_grad()
def test_early_stopping_ends_sooner_and_n_best_cuts(sources):
    memory, mask, limits = sources
    model = Toy(AttentionKind.mla).eval()
    long, short = ToyStepper(model, memory, mask), ToyStepper(model, memory, mask)
    beam_search(long, limits, start=START, end=END, beams=3)
    found = beam_search(short, limits, start=START, end=END, beams=3, early_stopping=True, n_best=2)
    assert sum(short.rows) < sum(long.rows)
    assert max(len(f) for f in found) == 2
    with pytest.raises(ValueError, match="length_penalty must be 0 or more"):
        beam_search(short, limits, start=START, end=END, length_penalty=-1)


@torch.no_grad()
def test_cold_samples_are_greedy_and_warm_ones_follow_the_seed(sources):
    memory, mask, limits = sources
    model = Toy(AttentionKind.mla).eval()
    greedy = beam_search(ToyStepper(model, memory, mask), limits, start=START, end=END, beams=1)
    cold = sample(ToyStepper(model, memory, mask), limits, start=START, end=END, temperature=1e-4)
    assert [s.tokens for s in cold] == [g[0].tokens for g in greedy]
    assert [s.score for s in cold] == pytest.approx([g[0].score for g in greedy], abs=1e-5)
    nucleus = sample(ToyStepper(model, memory, mask), limits, start=START, end=END, top_p=1e-6)
    assert nucleus == cold
    torch.manual_seed(0)
    first = sample(ToyStepper(model, memory, mask), limits, start=START, end=END)
    torch.manual_seed(0)
    assert sample(ToyStepper(model, memory, mask), limits, start=START, end=END) == first
    assert all(len(s.tokens) < limit for s, limit in zip(first, limits, strict=True))

"""From a decoder to sequences: beam search (greedy with one beam) and sampling, batched over sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Stepper(Protocol):
    """A decoder under way: it holds the cache of all rows, source by source, beam by beam."""

    def step(self, tokens: Tensor) -> Tensor:
        """Reads the newest token of each row, `(rows,)`, and scores the next, `(rows, vocab)`, before softmax."""

    def reorder(self, rows: Tensor) -> None:
        """Keeps these rows, in this order."""

    def keep(self, sources: Tensor) -> None:
        """Keeps these sources, in this order."""


@dataclass(frozen=True)
class Hypothesis:
    """One decoded sequence.

    Attributes:
        tokens: Without the start and end tokens.
        score: Sum of log probabilities, the end token's included, over its length to the power of the length penalty.
    """

    tokens: tuple[int, ...]
    score: float


@torch.no_grad()
def beam_search(
    stepper: Stepper,
    max_lengths: Sequence[int],
    *,
    start: int,
    end: int,
    beams: int = 5,
    length_penalty: float = 1.0,
    n_best: int = 1,
    early_stopping: bool = False,
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """The best sequences for each source.

    Of the `2 * beams` best continuations of a source's beams, those among the first `beams` that end are finished, and
    the best that do not end go on. A source is done when it has `beams` finished sequences of which none can be beaten
    any more; it then leaves the batch.

    Args:
        stepper: Rows are the beams of the first source, then those of the second and so on.
        max_lengths: Most tokens of each source's sequences, the end token included; at it they are made to end.
        start: Token in front of all sequences.
        end: Token that ends them.
        beams: Sequences that are followed at a time; 1 is greedy.
        length_penalty: 0 prefers short sequences, 1 compares means of log probabilities.
        n_best: Sequences returned a source, at most.
        early_stopping: Done as soon as `beams` sequences are finished, beaten or not; always so with one beam.
        device: Where the stepper lives.

    Returns:
        For each source its sequences, the best first.

    Raises:
        ValueError: The length penalty is negative: which sequences can still win would not be known.
    """
    if length_penalty < 0:
        raise ValueError(f"length_penalty must be 0 or more, got {length_penalty}")
    early_stopping = early_stopping or beams == 1
    finished: list[list[Hypothesis]] = [[] for _ in max_lengths]
    alive = torch.arange(len(max_lengths), device=device)
    limits = torch.tensor(max_lengths, device=device)
    tokens = torch.full((len(alive), beams, 1), start, device=device)
    scores = torch.full((len(alive), beams), -torch.inf, device=device)
    scores[:, 0] = 0  # all beams begin alike: only the first counts
    length = 0
    while len(alive):
        length += 1
        logits = stepper.step(tokens[..., -1].flatten()).float()
        log_probs = logits.log_softmax(-1).view(len(alive), beams, -1)
        vocab = log_probs.size(-1)
        ending = torch.full((vocab,), -torch.inf, device=device)
        ending[end] = 0
        at_limit = (limits[alive] <= length).view(-1, 1, 1)
        total = scores.unsqueeze(-1) + torch.where(at_limit, log_probs + ending, log_probs)
        best, place = total.flatten(1).topk(min(2 * beams, beams * vocab))
        beam, token = place // vocab, place % vocab

        ends = (token == end) & (best > -torch.inf)
        for row, rank in ends[:, :beams].nonzero().tolist():
            prefix = tuple(tokens[row, beam[row, rank], 1:].tolist())
            finished[int(alive[row])].append(Hypothesis(prefix, best[row, rank].item() / length**length_penalty))

        scores, chosen = best.masked_fill(token == end, -torch.inf).topk(beams)
        beam, token = beam.gather(1, chosen), token.gather(1, chosen)
        going_on = []
        for row, source in enumerate(alive.tolist()):
            kept = finished[source] = sorted(finished[source], key=lambda found: -found.score)[:beams]
            # Sums of log probabilities only fall; the longest sequence divides them by most.
            attainable = scores[row, 0].item() / max_lengths[source] ** length_penalty
            beaten = len(kept) == beams and (early_stopping or attainable <= kept[-1].score)
            if scores[row, 0] > -torch.inf and not beaten:
                going_on.append(row)

        rows = torch.tensor(going_on, dtype=torch.long, device=device)
        beam = beam[rows]
        tokens = torch.cat(
            [tokens[rows].gather(1, beam.unsqueeze(-1).expand(-1, -1, length)), token[rows, :, None]], -1
        )
        scores = scores[rows]
        if len(rows):
            stepper.reorder((rows.unsqueeze(1) * beams + beam).flatten())
            if len(rows) < len(alive):
                stepper.keep(rows)
        alive = alive[rows]
    return [found[:n_best] for found in finished]


@torch.no_grad()
def sample(
    stepper: Stepper,
    max_lengths: Sequence[int],
    *,
    start: int,
    end: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    device: torch.device | str = "cpu",
) -> list[Hypothesis]:
    """One random sequence for each source, token by token as the model's probabilities say.

    Args:
        stepper: One row a source.
        max_lengths: Most tokens of each sequence, the end token included.
        start: Token in front of all sequences.
        end: Token that ends them.
        temperature: Below 1 favours probable tokens.
        top_p: Only the most probable tokens that together have this probability (Holtzman et al. 2019).
        device: Where the stepper lives.

    Returns:
        For each source its sequence; the score is its mean log probability under the model itself.
    """
    found: list[Hypothesis] = [Hypothesis((), 0.0)] * len(max_lengths)
    alive = torch.arange(len(max_lengths), device=device)
    limits = torch.tensor(max_lengths, device=device)
    tokens = torch.full((len(alive), 1), start, device=device)
    scores = torch.zeros(len(alive), device=device)
    length = 0
    while len(alive):
        length += 1
        log_probs = stepper.step(tokens[:, -1]).float().log_softmax(-1)
        sharp, order = (log_probs / temperature).softmax(-1).sort(dim=-1, descending=True)
        sharp = sharp.masked_fill(sharp.cumsum(-1) - sharp >= top_p, 0)
        token = order.gather(1, torch.multinomial(sharp, 1)).squeeze(1)
        token = torch.where(limits[alive] <= length, end, token)
        scores = scores + log_probs.gather(1, token.unsqueeze(1)).squeeze(1)
        for row in (token == end).nonzero().flatten().tolist():
            found[int(alive[row])] = Hypothesis(tuple(tokens[row, 1:].tolist()), scores[row].item() / length)
        rows = (token != end).nonzero().flatten()
        tokens, scores = torch.cat([tokens, token.unsqueeze(1)], dim=1)[rows], scores[rows]
        if len(rows):
            stepper.reorder(rows)
            if len(rows) < len(alive):
                stepper.keep(rows)
        alive = alive[rows]
    return found

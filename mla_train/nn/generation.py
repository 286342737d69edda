"""Generation of sequences by a decoder: beam search (greedy with one beam) and sampling, batched over sources."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class DecoderState(Protocol):
    """The state of a decoding: the caches of all rows, source by source, beam by beam."""

    def step(self, tokens: Tensor) -> Tensor:
        """Reads the newest token of each row, `(rows,)`.

        Returns:
            Log probabilities of the next, less any penalty of the row, `(rows, vocab)`.
        """

    def reorder(self, rows: Tensor) -> None:
        """Keeps these rows, in this order."""

    def keep(self, sources: Tensor) -> None:
        """Keeps these sources, in this order."""


@dataclass(frozen=True)
class Hypothesis:
    """One generated sequence.

    Attributes:
        tokens: Token ids without start and end.
        score: Sum of log probabilities less penalties, including the end token, over its length to the power of the length
            penalty.
    """

    tokens: tuple[int, ...]
    score: float


@torch.no_grad()
def beam_search(
    state: DecoderState,
    max_lengths: Sequence[int],
    *,
    start: int,
    end: int,
    beams: int = 5,
    length_penalty: float = 1.0,
    n_best: int = 1,
    min_length: int = 0,
    early_stopping: bool = False,
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """The best sequences for each source.

    Of the `2 * beams` best continuations of a source's beams, those among the first `beams` that end are finished, and
    the best others continue. A source is done when it has `beams` finished sequences that no other can beat; it
    then leaves the batch.

    Args:
        state: Decoder state; rows are the beams of the first source, then those of the second and so on.
        max_lengths: Maximum number of tokens for each source, including the end token, which is then forced.
        start: Id of the start token.
        end: Id of the end token.
        beams: Number of beams; 1 is greedy.
        length_penalty: Exponent of the length; 0 prefers short sequences, 1 compares mean log probabilities.
        n_best: Maximum number of sequences returned for each source.
        min_length: Number of tokens before which a sequence does not end, unless it is at its limit.
        early_stopping: Stop as soon as `beams` sequences are finished; always so with one beam.
        device: Device of the decoder state.

    Returns:
        Sequences for each source, the best first.

    Raises:
        ValueError: The length penalty is negative, so that scores of longer sequences are not bounded.
    """
    if length_penalty < 0:
        raise ValueError(f"length_penalty must be 0 or more, got {length_penalty}")
    early_stopping = early_stopping or beams == 1
    finished: list[list[Hypothesis]] = [[] for _ in max_lengths]
    alive = torch.arange(len(max_lengths), device=device)
    limits = torch.tensor(max_lengths, device=device)
    tokens = torch.full((len(alive), beams, 1), start, device=device)
    scores = torch.full((len(alive), beams), -torch.inf, device=device)
    scores[:, 0] = 0  # all beams start alike: only the first counts
    length = 0
    while len(alive):
        length += 1
        log_probs = state.step(tokens[..., -1].flatten()).float().view(len(alive), beams, -1)
        vocab = log_probs.size(-1)
        ending = torch.full((vocab,), -torch.inf, device=device)
        ending[end] = 0
        if length <= min_length:
            log_probs = log_probs.masked_fill((ending == 0) & (limits[alive] > length).view(-1, 1, 1), -torch.inf)
        at_limit = (limits[alive] <= length).view(-1, 1, 1)
        total = scores.unsqueeze(-1) + torch.where(at_limit, log_probs + ending, log_probs)
        best, index = total.flatten(1).topk(min(2 * beams, beams * vocab))
        beam, token = index // vocab, index % vocab

        ends = (token == end) & (best > -torch.inf)
        for row, rank in ends[:, :beams].nonzero().tolist():
            prefix = tuple(tokens[row, beam[row, rank], 1:].tolist())
            finished[int(alive[row])].append(Hypothesis(prefix, best[row, rank].item() / length**length_penalty))

        scores, chosen = best.masked_fill(token == end, -torch.inf).topk(beams)
        beam, token = beam.gather(1, chosen), token.gather(1, chosen)
        unfinished = []
        for row, source in enumerate(alive.tolist()):
            kept = finished[source] = sorted(finished[source], key=lambda hypothesis: -hypothesis.score)[:beams]
            # Sums of log probabilities only fall; the longest sequence has the largest divisor.
            attainable = scores[row, 0].item() / max_lengths[source] ** length_penalty
            beaten = len(kept) == beams and (early_stopping or attainable <= kept[-1].score)
            if scores[row, 0] > -torch.inf and not beaten:
                unfinished.append(row)

        rows = torch.tensor(unfinished, dtype=torch.long, device=device)
        beam = beam[rows]
        tokens = torch.cat(
            [tokens[rows].gather(1, beam.unsqueeze(-1).expand(-1, -1, length)), token[rows, :, None]], -1
        )
        scores = scores[rows]
        if len(rows):
            state.reorder((rows.unsqueeze(1) * beams + beam).flatten())
            if len(rows) < len(alive):
                state.keep(rows)
        alive = alive[rows]
    return [hypotheses[:n_best] for hypotheses in finished]


@torch.no_grad()
def sample(
    state: DecoderState,
    max_lengths: Sequence[int],
    *,
    start: int,
    end: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int | None = None,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    min_length: int = 0,
    read: Tensor | None = None,
    chances: Tensor | None = None,
    stops: Callable[[tuple[int, ...]], bool] | None = None,
    device: torch.device | str = "cpu",
) -> list[Hypothesis]:
    """One random sequence for each source, sampled token by token.

    Args:
        state: Decoder state with one row a source.
        max_lengths: Maximum number of tokens for each source, including the end token.
        start: Id of the start token.
        end: Id of the end token.
        temperature: Divisor of log probabilities; below 1 favours probable tokens, 0 takes the most probable.
        top_p: Total probability of the most probable tokens to sample from (Holtzman et al. 2019).
        top_k: Number of the most probable tokens to sample from; None is all.
        min_p: Least probability of a token, as a share of the most probable one's (Nguyen et al. 2024, arXiv 2407.01082).
        repetition_penalty: Factor that lowers the scores of tokens that occurred before (Keskar et al. 2019, arXiv
            1909.05858); 1 is none.
        min_length: Number of tokens before which a sequence does not end, unless it is at its limit.
        read: Tokens that the state reads before the sequence, which count as occurred, `(sources, length)`.
        chances: Random numbers between 0 and 1, `(sources, longest)`, each of which chooses a token; None draws them.
        stops: Whether a sequence ends with its last token.
        device: Device of the decoder state.

    Returns:
        A sequence for each source; its score is the mean log probability under the model.
    """
    sequences: list[Hypothesis] = [Hypothesis((), 0.0)] * len(max_lengths)
    alive = torch.arange(len(max_lengths), device=device)
    limits = torch.tensor(max_lengths, device=device)
    tokens = torch.full((len(alive), 1), start, device=device)
    scores = torch.zeros(len(alive), device=device)
    length = 0
    while len(alive):
        length += 1
        log_probs = state.step(tokens[:, -1]).float()
        if length <= min_length:
            log_probs = log_probs.index_fill(1, torch.tensor([end], device=device), -torch.inf)
        occurred = tokens[:, 1:] if read is None else torch.cat([read[alive], tokens[:, 1:]], dim=1)
        sharp, order = sharpened(penalized(log_probs, occurred, repetition_penalty), temperature, top_k, top_p, min_p)
        if chances is None:
            place = torch.multinomial(sharp, 1)
        else:
            total = sharp.cumsum(-1)
            place = torch.searchsorted(total, chances[alive, length - 1 : length] * total[:, -1:], right=True)
            place = place.minimum((sharp > 0).sum(-1, keepdim=True) - 1)  # a sum may end a rounding below its last part
        token = order.gather(1, place).squeeze(1)
        token = torch.where(limits[alive] <= length, end, token)
        scores = scores + log_probs.gather(1, token.unsqueeze(1)).squeeze(1)
        tokens = torch.cat([tokens, token.unsqueeze(1)], dim=1)
        ends = token == end
        for row, written in enumerate(tokens[:, 1:].tolist()):
            if ends[row] or (stops is not None and stops(tuple(written))):
                kept = tuple(written[:-1] if ends[row] else written)
                sequences[int(alive[row])] = Hypothesis(kept, scores[row].item() / length)
                ends[row] = True
        rows = (~ends).nonzero().flatten()
        tokens, scores = tokens[rows], scores[rows]
        if len(rows):
            state.reorder(rows)
            if len(rows) < len(alive):
                state.keep(rows)
        alive = alive[rows]
    return sequences


def penalized(log_probs: Tensor, occurred: Tensor, penalty: float) -> Tensor:
    """Scores in which tokens that occurred are less probable.

    Args:
        log_probs: Log probabilities, `(rows, vocab)`.
        occurred: Tokens of each row, `(rows, length)`.
        penalty: Factor on their log probabilities, which are negative; 1 is none.

    Returns:
        `(rows, vocab)`.
    """
    if penalty == 1.0 or not occurred.size(1):
        return log_probs
    return log_probs.scatter(1, occurred, log_probs.gather(1, occurred) * penalty)


def sharpened(
    scores: Tensor, temperature: float, top_k: int | None, top_p: float, min_p: float
) -> tuple[Tensor, Tensor]:
    """Probabilities to sample from, the largest first, and their tokens, both `(rows, vocab)`; see `sample`.

    They need not sum to 1; the most probable token is always among them.
    """
    ordered, order = scores.sort(dim=-1, descending=True)
    if temperature == 0:
        first = torch.zeros_like(ordered)
        first[:, 0] = 1
        return first, order
    chances = (ordered / temperature).softmax(-1)
    left_out = chances.cumsum(-1) - chances >= top_p
    left_out |= chances < min_p * chances[:, :1]
    if top_k is not None:
        left_out[:, top_k:] = True
    left_out[:, 0] = False
    return chances.masked_fill(left_out, 0), order

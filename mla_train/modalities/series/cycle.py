"""The cycle of series: how many steps it is long."""

import numpy as np

MOST_CYCLES = 50
"""Cycles of the longest length that are read, the latest."""
MOST_CHANNELS = 32
"""Series that are read, at even distances."""
DOUBT = 5.0
"""Times that a cycle has to exceed the profile that noise alone leaves: a random walk stays below."""


def find_periods(values: np.ndarray, longest: int = 800) -> list[int]:
    """Lengths that the cycle may have, in steps, the most likely first.

    Strength is the variance that the mean of each place in the cycle explains, less what noise would explain. Lengths whose
    neighbours are weaker are listed by strength, behind the shortest that is nearly as strong as the best: whole multiples
    of a cycle resemble it as much. Where there is no cycle, it is a guess.

    Args:
        values: Gapless scaled series, `(rows, channels)`.
        longest: Most steps of a cycle, at most a third of the rows.
    """
    longest = min(longest, len(values) // 3 - 1)
    values = values[:, :: -(-values.shape[1] // MOST_CHANNELS)]
    strength = cycle_strengths(values[-MOST_CYCLES * max(longest, 1) :].astype(float), longest)
    before, here, after = strength[1:-2], strength[2:-1], strength[3:]
    peaks = 2 + np.flatnonzero((here > 0) & (here >= before) & (here > after))
    if not len(peaks):
        return [min(24, max(2, longest))]
    best = int(peaks[strength[peaks] >= 0.95 * strength[peaks].max()][0])
    others = [int(peak) for peak in peaks[np.argsort(-strength[peaks])] if peak % best]
    return [best, *others]


def cycle_strengths(values: np.ndarray, longest: int) -> np.ndarray:
    """How strong a cycle of each number of steps is, the mean over channels, `(longest + 2,)`; -inf for 0 and 1.

    The mean over one cycle around each step is subtracted first, so that neither a trend nor a random walk counts.
    """
    sums = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(0)])
    strengths = np.full(max(longest, 1) + 2, -np.inf)
    for period in range(2, longest + 2):
        level = (sums[period:] - sums[:-period]) / period
        rest = values[period // 2 :][: len(level)] - level
        count = len(rest) // period
        cycles = rest[: count * period].reshape(count, period, -1)
        noise = cycles.var(0, ddof=1).mean(0) / count * (1 + 2 / period)  # a mean over few places varies more
        strengths[period] = (cycles.mean(0).var(0) - DOUBT * noise).mean()
    return strengths

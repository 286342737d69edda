"""What captions images without a network: the most similar training image, and the most frequent words."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np

from mla_train.baselines import Baseline, Baselines, Limit
from mla_train.baselines.tables import pixel_tables
from mla_train.data.cache import cached
from mla_train.dataset import Dataset, Split
from mla_train.heads import Predictions
from tasks.image_captioning.metrics import agreement

MAX_CELLS = 20_000_000  # similarities that are held at a time
MOST_WORDS = 12


def caption_baselines(data: Dataset) -> Baselines:
    """The caption of the most similar training image; the most frequent words of captions, as many as are best on val."""
    return {"nearest": partial(_nearest, data), "frequent": partial(_frequent, data)}


def _nearest(data: Dataset, limit: Limit) -> Baseline:
    train, val, test = pixel_tables(data, next(iter(data.spec.inputs)))
    places = [cached(nearest_rows)(table, train) for table in (val, test)]
    texts = [[data.train.targets[place].text for place in each] for each in places]
    return Baseline(_predictions(data.val, texts[0]), _predictions(data.test, texts[1]))


def nearest_rows(table: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Place of the known row that is nearest to each row, by the distance of both."""
    squares = (known**2).sum(1) / 2
    rows = max(1, MAX_CELLS // len(known))
    return np.concatenate(
        [(table[row : row + rows] @ known.T - squares).argmax(1) for row in range(0, len(table), rows)]
    )


def _frequent(data: Dataset, limit: Limit) -> Baseline:
    counts = Counter(word for target in data.train.targets for word in target.text.split())
    ranked = [word for word, _ in counts.most_common(MOST_WORDS)]
    scored = [target for target in data.val.targets if target.others is not None]
    references = [target.text for target in scored], [target.others for target in scored]

    def score(count: int) -> float:
        return float(agreement([" ".join(ranked[:count])] * len(scored), *references)["word_f1"].mean())

    best = " ".join(ranked[: max(range(1, len(ranked) + 1), key=score)])
    val, test = (_predictions(split, [best] * len(split.targets)) for split in (data.val, data.test))
    return Baseline(val, test, {"caption": best})


def _predictions(split: Split, texts: Sequence[str]) -> Predictions:
    labels = {"label": [target.text for target in split.targets]}
    return labels | {"other_labels": [target.others for target in split.targets], "predicted": texts}

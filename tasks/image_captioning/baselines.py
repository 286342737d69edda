"""What captions images without a network: the most similar training image, and the most frequent words."""

from collections import Counter
from functools import partial

import numpy as np

from mla_train.baselines import Baseline, Baselines, Limit
from mla_train.baselines.tables import pixel_tables
from mla_train.baselines.texts import text_predictions
from mla_train.data.cache import cached
from mla_train.dataset import Dataset, Split
from mla_train.heads import Predictions
from mla_train.heads.text_metrics import word_f1

MOST_WORDS = 12


def caption_baselines(data: Dataset) -> Baselines:
    """The caption of the most similar training image; the most frequent words of captions, as many as are best on val."""
    return {"nearest": partial(_nearest, data), "frequent": partial(_frequent, data)}


def _nearest(data: Dataset, limit: Limit) -> Baseline:
    from sklearn.metrics import pairwise_distances_argmin

    train, val, test = pixel_tables(data, next(iter(data.spec.inputs)))

    def captioned(split: Split, table: np.ndarray) -> Predictions:
        places = cached(pairwise_distances_argmin)(table, train)
        return text_predictions(split, [data.train.targets[place].text for place in places])

    return Baseline(captioned(data.val, val), captioned(data.test, test))


def _frequent(data: Dataset, limit: Limit) -> Baseline:
    counts = Counter(word for target in data.train.targets for word in target.text.split())
    ranked = [word for word, _ in counts.most_common(MOST_WORDS)]
    scored = [target for target in data.val.targets if target.others is not None]
    references = [target.text for target in scored], [target.others for target in scored]
    texts = [" ".join(ranked[:count]) for count in range(1, len(ranked) + 1)]
    best = max(texts, key=lambda text: float(word_f1([text] * len(scored), *references).mean()))
    val, test = (text_predictions(split, [best] * len(split.targets)) for split in (data.val, data.test))
    return Baseline(val, test, {"caption": best})

"""What a baseline is, and how those of a task are computed: in order, with a bar, within a time."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from mla_train.dataset import Dataset
from mla_train.heads import Predictions


@dataclass
class Baseline:
    """A simple model, chosen on val.

    Attributes:
        val: Predictions for val, columns as a head makes them with `label` and the like.
        test: The same for test.
        chosen: What val chose, such as the strength of a penalty.
        seconds: Time that it took.
    """

    val: Predictions
    test: Predictions
    chosen: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Limit:
    """How long baselines may choose.

    Args:
        seconds: Time after which no further candidate is tried.
        quick: Whether each has its usual settings, and those that take long are left out.
    """

    def __init__(self, seconds: float = float("inf"), quick: bool = False) -> None:
        self.seconds, self.quick, self.end = seconds, quick, time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """Time that is left, 0 at least."""
        return max(0.0, self.end - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether no further candidate is tried."""
        return self.quick or not self.seconds_left


Baselines = dict[str, Callable[[Limit], Baseline | None]]
"""How each baseline of a task is computed; None where it takes too long."""


def compute(baselines: Mapping[str, Callable[[Limit], Baseline | None]], limit: Limit) -> dict[str, Baseline]:
    """Computes baselines in order, and says which are left out."""
    computed: dict[str, Baseline] = {}
    left_out = []
    bar = tqdm(baselines.items(), desc="baselines", unit="", leave=False, file=sys.stderr, disable=None)
    for name, baseline in bar:
        bar.set_postfix_str(name)
        start = time.monotonic()
        done = baseline(limit)
        if done is None:
            left_out.append(name)
            continue
        done.seconds = round(time.monotonic() - start, 2)
        computed[name] = done
    if left_out:
        print(f"baselines left out, because they take long: {', '.join(left_out)}", flush=True)
    return computed


def majority_or_mean(data: Dataset) -> Baselines:
    """The most frequent class, the labels that most examples have, or the mean number."""
    names = {"regression": "mean", "multilabel": "most_frequent"}
    return {names.get(data.spec.head.kind, "majority"): partial(_constant, data)}


def _constant(data: Dataset, limit: Limit) -> Baseline:
    train, kind = data.train.targets, data.spec.head.kind
    answer: Any
    if kind == "regression":
        answer = train.mean()
    elif kind == "multilabel":
        answer = (train.mean(0) > 0.5).astype(np.float32)
        if not answer.any():
            answer[train.mean(0).argmax()] = 1
    else:
        answer = np.bincount(train).argmax()

    def predictions(labels: np.ndarray) -> Predictions:
        return {"label": labels, "predicted": np.repeat(np.asarray(answer)[None], len(labels), 0)}

    return Baseline(predictions(data.val.targets), predictions(data.test.targets))

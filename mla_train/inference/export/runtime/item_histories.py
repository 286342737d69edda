"""Histories of items as arrays that a graph reads, and its answer as a record: used by infer_onnx.py beside it."""

import ast
import json
import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

LATEST = 1e11  # seconds since 1970 of the year 5138
LONGEST_WRITTEN = 100_000  # characters of what is read as written in Python, which takes 200 times its size
WRITTEN_TEXT = re.compile(
    r"""('(?:[^'\\]|\\.)*(?:'|\\?\Z)|"(?:[^"\\]|\\.)*(?:"|\\?\Z))(\s*(?=b?['"]))?""", re.DOTALL
)  # numpy writes ['a' 'b']
Arrays = dict[str, np.ndarray]
Spec = dict[str, Any]


def items_of(history: Any) -> list[Any]:
    """Items of a history: a list of names, or of pairs of name and seconds, the newest last, or such a list or names with bars as text."""
    if isinstance(history, str) and history.lstrip().startswith("["):
        history = _written(history.strip())
    items = [name for name in history.split("|") if name.strip()] if isinstance(history, str) else history or []
    if items and all(
        isinstance(item, list | tuple) and len(item) == 2 for item in items
    ):  # also where the newest is the first
        items = sorted(items, key=lambda item: float(item[1]))
    first: dict[str, Any] = {}
    for item in items:  # an item counts where it is first
        first.setdefault(name_of(item), item)
    return list(first.values())


def _written(text: str) -> Any:
    """The list that a text is as JSON or as Python or numpy writes it; the text where it is none."""
    for read in (json.loads, _of_python) if len(text) <= LONGEST_WRITTEN else (json.loads,):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            return read(text)
    return text


def _of_python(text: str) -> Any:
    return ast.literal_eval(WRITTEN_TEXT.sub(lambda found: found[1] + ("," if found[2] is not None else ""), text))


def name_of(item: Any) -> str:
    """Name of an item, or of a pair of name and seconds; 7, 7.0 and "7.0" are one."""
    name = unicodedata.normalize("NFC", str(item[0] if isinstance(item, list | tuple) else item)).strip()
    return re.sub(r"^([-+]?(?:0|[1-9]\d*))\.0+$", r"\1", name)


def read_histories(values: Sequence[Any], spec: Spec) -> Arrays:
    """Numbers of the newest items of histories, and of all."""
    numbers = {name: number for number, name in enumerate(spec["catalogue"], 1)}
    rows, classes = [], []
    for value in values:
        items = items_of(value)
        known = [place for place, item in enumerate(items) if name_of(item) in numbers]
        rows.append([numbers[name_of(items[place])] for place in known])
        if spec["gaps"]:
            if not all(isinstance(item, list | tuple) for item in items):
                raise ValueError("this model reads times: write each item as a pair of name and time in seconds")
            times = np.array([item[1] for item in items], float)
            if not np.isfinite(times).all():
                raise ValueError("the time of an item is a number of seconds, and one of them is not finite")
            if len(times) and times[-1] > LATEST:
                raise ValueError(f"{times[-1]:.0f} is no time in seconds since 1970: milliseconds are divided by 1000")
            gaps = 1 + np.log2(1 + np.diff(times, prepend=times[:1]).clip(min=0)).astype(np.int64)
            gaps[:1] = 0
            classes.append(gaps.clip(max=31)[known][-spec["max_length"] :])
    newest = pad([row[-spec["max_length"] :] for row in rows])
    arrays = {"items": newest, "padding": newest == 0, "seen": pad(rows)}
    return arrays | ({"gaps": pad(classes)} if spec["gaps"] else {})


def best_items(probabilities: np.ndarray, history: Any, spec: Spec) -> Spec:
    """The ten most probable items of those that the history has not, what they rest on, and names that are not in the catalogue."""
    catalogue, names = spec["catalogue"], [name_of(item) for item in items_of(history)]
    best = [place for place in np.argsort(-probabilities, kind="stable")[:10] if probabilities[place] > 0]
    unknown = [name for name in names if name not in set(catalogue)]
    record: Spec = {"prediction": [catalogue[place] for place in best]}
    record["probabilities"] = {catalogue[place]: float(f"{probabilities[place]:.4g}") for place in best}
    record["based_on"] = "history" if len(unknown) < len(names) else "popularity"
    return record | ({"unknown": unknown} if unknown else {})


def pad(rows: Sequence[Sequence[int] | np.ndarray]) -> np.ndarray:
    """Rows of numbers filled up with zeros, `(batch, longest)`."""
    values = np.zeros((len(rows), max(1, *map(len, rows))), np.int64)
    for place, row in enumerate(rows):
        values[place, : len(row)] = row
    return values

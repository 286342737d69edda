"""The test split of the run that gave a model, which is read again: it may have changed since."""

import math
from pathlib import Path
from typing import Any

from mla_train.config.stored import read_json
from mla_train.dataset import Dataset
from mla_train.errors import UserError, few
from mla_train.fingerprint import differences, fingerprint
from mla_train.inference.predictor import Predictor

FITTED = ("classes", "tokenizer")
"""What is known of targets from the data, and not tuned on val."""


def read_own(predictor: Predictor, run: Path) -> tuple[Dataset, list[str]]:
    """The data of a model's run, and lines for the user on values that are not as they were.

    Args:
        predictor: Trained model.
        run: Run folder, the folder `model` in it, or an exported folder, of which less is known.

    Raises:
        UserError: It cannot be read, or is not the data of the run: test may now hold what was trained on, and numbers of words
            and classes may mean others.
    """
    data = predictor.task.load_data()
    known = _known(run)
    changes = differences(known, fingerprint(data)) if known else []
    severe = [each for each in changes if not each.startswith(("what was learned", "values of"))]
    specs = [spec.to_dict() for spec in (predictor.spec, data.spec)]
    changed = [name for name, each in specs[0]["inputs"].items() if not _alike(each, specs[1]["inputs"].get(name))]
    changed += [name for name in FITTED if specs[0]["head"].get(name) != specs[1]["head"].get(name)]
    severe += [f"what was learned from it differs ({few(changed)})"] if changed else []
    if severe:
        raise UserError(
            f"the data is not that with which {run} was trained, so that this is not its test split: {'; '.join(severe)}. Restore "
            "the data, or name a file with --input"
        )
    return data, [
        f"NOT COMPARABLE: the data has changed since {run} was trained ({'; '.join(changes)})"
    ] if changes else []


def _known(run: Path) -> dict[str, Any]:
    """Fingerprint of the data in the results of a run; empty where there is none, or it is of a few examples for a trial."""
    try:
        results = read_json((run.parent if run.name == "model" else run) / "results.json")
    except (OSError, ValueError):
        return {}
    return (not results.get("debug") and results.get("fingerprint")) or {} if isinstance(results, dict) else {}


def _alike(one: Any, other: Any) -> bool:
    """Whether two plain values are equal up to rounding, which may differ between machines."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-8) or one != one
    return bool(one == other)

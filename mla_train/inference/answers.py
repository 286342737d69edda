"""What is written of each answer, and under which names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # options are checked before torch is loaded
    from mla_train.inference.predictor import Predictor


@dataclass(frozen=True)
class Answers:
    """What is written of each answer.

    Attributes:
        top: Number of classes, or of generated texts, that are written, the best first.
        threshold: Probability below which a class is not written; with several labels, over which a label is.
        probabilities: Whether the probability of every class is written.
        keep_errors: Whether rows that cannot be read are written with `error`; otherwise they stop the command.
        batch_size: Number of examples that are predicted at a time.
        scores: Whether lines of generated texts begin with their score.
        columns: Input name to column, where the usual names do not fit.
    """

    top: int = 1
    threshold: float | None = None
    probabilities: bool = False
    keep_errors: bool = True
    batch_size: int = 64
    scores: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)


def answer_columns(predictor: "Predictor", answers: Answers) -> list[str]:
    """Names of the columns that `flat` gives.

    Args:
        predictor: Trained model.
        answers: What is written.
    """
    head, columns = predictor.network.head, ["prediction"]
    classes = getattr(head.spec, "classes", None)
    if head.kind == "classification" and classes:
        columns.append("probability")
        columns += _numbered("probability", min(answers.top, len(classes)))
    elif head.kind == "generation":
        columns += ["score", *_numbered("score", answers.top)]
    elif head.kind == "next_tokens":
        columns.append("score")
    elif head.kind == "ranking":
        columns += ["based_on", "unknown"]
    if answers.probabilities and classes:
        columns += [f"probability {name}" for name in classes]
    return [*columns, "error"]


def _numbered(kind: str, count: int) -> list[str]:
    return [f"{name}_{place}" for place in range(2, count + 1) for name in ("prediction", kind)]


def flat(record: Mapping[str, Any], answers: Answers) -> dict[str, Any]:
    """A record as cells of one row.

    Args:
        record: Record of `Predictor.predict`.
        answers: What is written.
    """
    probabilities: dict[str, float] = record.get("probabilities", {})
    cells = {name: value for name, value in record.items() if name not in ("probabilities", "others")}
    for place, other in enumerate(record.get("others", ()), 2):
        cells |= {f"{name}_{place}": value for name, value in other.items()}
    if isinstance(record.get("prediction"), list) and answers.threshold is not None:
        cells["prediction"] = [name for name, value in probabilities.items() if value > answers.threshold]
    elif "probability" in record:
        others = [each for each in probabilities.items() if each[0] != record["prediction"]]
        for place, (name, value) in enumerate(sorted(others, key=lambda each: -each[1])[: answers.top - 1], 2):
            cells |= {f"prediction_{place}": name, f"probability_{place}": value}
        if answers.threshold is not None and record["probability"] < answers.threshold:
            cells["prediction"] = None
    if answers.probabilities:
        cells |= {f"probability {name}": value for name, value in probabilities.items()}
    return {**cells, "error": record.get("error")}


def show_one(record: Mapping[str, Any], answers: Answers) -> str:
    """A record as a line of JSON, for a single example.

    Args:
        record: Record of `Predictor.predict`.
        answers: What is shown.
    """
    cells = {name: value for name, value in flat(record, answers).items() if value is not None}
    return json.dumps(cells, ensure_ascii=False)

"""What a server says of its model: /metadata, and the types of its records."""

import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, create_model

from mla_train.heads import Head
from mla_train.inference.predictor import Predictor
from mla_train.inference.serve.limits import Limits

PREDICTIONS: Mapping[str, Any] = {
    "classification": str, "multilabel": list[str], "regression": float, "generation": str,
    "forecast": dict[str, list[float]], "next_tokens": str, "masked_patches": float, "ranking": list[str],
}  # fmt: skip
"""Type of `prediction`, by kind of answer."""
BESIDE: Mapping[str, dict[str, Any]] = {
    "classification": {"probability": float, "probabilities": dict[str, float]},
    "multilabel": {"probabilities": dict[str, float]},
    "generation": {"score": float},
    "next_tokens": {"score": float},
    "ranking": {"probabilities": dict[str, float], "based_on": str, "unknown": list[str]},
    "forecast": {"quantiles": dict[str, dict[str, list[float]]]},
}
"""Fields of a record beside its prediction, by kind of answer, with their types."""
SHOWN = (
    "channels",
    "height",
    "width",
    "sample_rate",
    "max_seconds",
    "max_length",
    "columns",
    "names",
    "look_back",
    "horizon",
    "known",
    "observed",
    "frequency",
    "popular",
    "gaps",
)
"""Fields of an input's spec that /metadata lists."""


class Problem(BaseModel):
    """What is wrong with a request, in one line."""

    error: str


def answer_type(head: type[Head]) -> Any:
    """Type of an answer: a record, that is a prediction with what belongs to it or an error; or several records."""
    kinds = {"prediction": PREDICTIONS.get(head.kind, Any), **BESIDE.get(head.kind, {}), "error": str}
    fields: dict[str, Any] = {name: (kind | None, None) for name, kind in kinds.items()}
    record: Any = create_model("Record", **fields)
    return record | create_model("Records", predictions=(list[record], ...))


def metadata(predictor: Predictor, results: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """The task, inputs, answer, metrics, versions and limits of a served model.

    Args:
        predictor: Trained model.
        results: Contents of results.json; empty where there is none.
        limits: The most that a request may ask for.
    """
    spec, config = predictor.spec, predictor.config
    inputs = {
        name: {"kind": modality.kind}
        | {key: value for key in SHOWN if (value := getattr(modality.spec, key, None)) not in (None, "", [])}
        for name, modality in spec.inputs.items()
    }
    return {
        "task": config.task.name,
        "data": config.data.name,
        "attention": predictor.task.architecture,
        "inputs": inputs,
        "answer": spec.head.kind,
        "classes": getattr(spec.target, "classes", None),
        "threshold": getattr(predictor.network.head, "threshold", None),
        "metrics": results.get("metrics", {}).get("test"),
        "parameters": predictor.network.count_parameters()["parameters"],
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("mla-train", "torch")},
        "limits": asdict(limits),
    }

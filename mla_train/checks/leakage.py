"""Inputs that tell the class almost alone: a token, the size of a file, a column of features."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mla_train.checks.base import Check, LoadedExamples
from mla_train.checks.telling_inputs import telling_columns, telling_tokens

QUICK_EXAMPLES, MOST_EXAMPLES = 2_000, 20_000
KINDS = ("classification", "regression")


def check_leakage(examples: LoadedExamples, thorough: bool) -> Check:
    """Looks at training examples, at most at so many."""
    data, kind = examples.data, examples.data.spec.head.kind
    check = Check("leakage", "Inputs that tell the target")
    if kind not in KINDS:
        return check
    count = data.count("train")
    some = np.linspace(0, count - 1, min(count, MOST_EXAMPLES if thorough else QUICK_EXAMPLES)).astype(int)
    labels = np.asarray(data.train.targets)[some]
    check.values["columns"] = check.values["tokens"] = []
    columns: list[dict[str, Any]] = []
    tokens: list[dict[str, Any]] = []
    for name, modality in data.spec.inputs.items():
        column = data.train.columns[name]
        if modality.kind == "text" and kind == "classification":
            for token in telling_tokens([column.texts[place] for place in some], labels):
                shares = {"precision": round(token.precision, 4), "coverage": round(token.coverage, 4)}
                tokens.append(
                    {"input": name, "token": token.token, "class": data.spec.target.classes[token.label]} | shares
                )
        for described, values in _columns(name, modality.kind, column, some).items():
            for accuracy in telling_columns(values[:, None], labels, kind == "regression").values():
                columns.append({"input": described, "alone": round(accuracy, 4)})
        if modality.kind == "features":
            table = np.stack([_mean(column.values[place], len(modality.spec.mean)) for place in some])
            for number, accuracy in telling_columns(table, labels, kind == "regression").items():
                columns.append({"input": f"{name} feature {number + 1}", "alone": round(accuracy, 4)})
    check.values = {"tokens": tokens, "columns": columns}
    check.rows = tokens or columns
    check.problems = [
        f'the token "{each["token"]}" of {each["input"]} tells class {each["class"]} almost alone (right in '
        f"{each['precision']:.0%} of its texts, in {each['coverage']:.0%} of the class): if it is there by accident, such as "
        "a source or a signature, remove it from the texts"
        for each in tokens
    ]
    measure = "rank correlation" if kind == "regression" else "balanced accuracy"
    check.problems += [
        f"{each['input']} tells the target almost alone ({measure} {each['alone']:.2f}): if it is not known when the model "
        "is used, or is an accident of how the data was collected, leave it out"
        for each in columns
    ]
    return check


def _columns(name: str, kind: str, column: Any, some: np.ndarray) -> Mapping[str, np.ndarray]:
    """What is known of image files beside their pixels, `(examples,)` each; nothing where one is missing."""
    headers = [column.headers[place] for place in some] if kind == "image" and column.headers else []
    if not headers or any(header is None for header in headers):
        return {}
    measures = {
        "width": [header.size[0] for header in headers],
        "height": [header.size[1] for header in headers],
        "bytes": [header.bytes for header in headers],
    }
    return {f"{measure} of the files of {name}": np.array(values, float) for measure, values in measures.items()}


def _mean(steps: np.ndarray, width: int) -> np.ndarray:
    return steps.mean(0) if len(steps) else np.zeros(width)

"""Checks of prepared data before training: those that suit its inputs and targets."""

import logging

from mla_train.checks.base import MOST_CHECKED, Check, LoadedExamples, first_of_large, plain_values, problems_of
from mla_train.checks.duplicates import check_duplicates
from mla_train.checks.inputs import check_images, check_inputs, check_labels, check_texts
from mla_train.checks.leakage import check_leakage
from mla_train.checks.series import check_series
from mla_train.dataset import Dataset
from mla_train.modalities.series.windows import WindowColumn

__all__ = ["Check", "LoadedExamples", "check_data", "plain_values", "problems_of", "safe_checks"]


def check_data(data: Dataset, thorough: bool = True) -> list[Check]:
    """All checks but that of label errors; those that are not `thorough` take about a second."""
    if any(isinstance(column, WindowColumn) for column in data.train.columns.values()):
        return [check_series(data)]
    data, shortened = first_of_large(data)
    examples = LoadedExamples(data)
    checks = [check_inputs(examples), check_labels(examples)]
    if data.spec.head.kind != "ranking":  # users may have the same history, and each goes on in its own way
        checks.insert(0, check_duplicates(examples, thorough))
    of_kind = {"text": check_texts, "image": check_images}
    for name, modality in data.spec.inputs.items():
        if modality.kind in of_kind:
            checks.append(of_kind[modality.kind](examples, name))
    checks.append(check_leakage(examples, thorough))
    checks = [check for check in checks if check.values]
    for check in checks if shortened else ():
        check.values["checked"] = f"the first {MOST_CHECKED:,} examples of {' and '.join(shortened)}"
        check.note = f"Of {check.values['checked']}. {check.note}"
    return checks


def safe_checks(data: Dataset) -> list[Check]:
    """The quick checks; where they fail, none: a run does not fail for them."""
    try:
        return check_data(data, thorough=False)
    except Exception:
        logging.getLogger(__name__).warning("the data could not be checked", exc_info=True)
        return []

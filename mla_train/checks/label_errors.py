"""Labels that are probably wrong, in all splits, as a list with the examples."""

import numpy as np

from mla_train.checks.base import SHOWN, Check, LoadedExamples
from mla_train.checks.cleaning import column_label_errors, joined
from mla_train.checks.confident_learning import MOST_SUSPECTED
from mla_train.data.splits import SPLITS

MOST_WORK, MOST_CHARACTERS = 200_000, 30_000_000
"""Largest product of examples and classes, and most characters, for which label errors are looked for unasked."""
SHOWN_ERRORS = 50


def takes_long(examples: LoadedExamples) -> bool:
    """Whether looking for label errors takes more than about a minute."""
    inputs = examples.data.spec.inputs
    characters = sum(len(text) for name, each in inputs.items() if each.kind == "text" for text in examples.texts(name))
    work = len(examples.split) * len(examples.data.spec.target.classes)
    return work > MOST_WORK or characters > MOST_CHARACTERS


def check_label_errors(examples: LoadedExamples) -> Check:
    """Ranks examples by how improbable their label is to models that were not trained on them."""
    data = examples.data
    kinds = {name: modality.kind for name, modality in data.spec.inputs.items()}
    columns = {name: joined(examples.columns(name), kind) for name, kind in kinds.items()}
    labels, classes = np.asarray(examples.targets()), data.spec.target.classes
    errors = column_label_errors(columns, kinds, labels)
    check = Check("label_errors", "Suspected label errors")
    if len(errors.places) > MOST_SUSPECTED * len(labels):
        check.note = "Fast models do not know these classes, so they cannot tell which labels are wrong."
        check.values = {"cannot_tell": True}
        return check
    splits = examples.split[errors.places]
    check.values = {split: int((splits == number).sum()) for number, split in enumerate(SPLITS)}
    for place, label, score in zip(errors.places.tolist(), errors.labels, errors.scores, strict=True):
        guess = {"label": classes[labels[place]], "suggested": classes[label], "score": round(float(score), 4)}
        check.listing.append(examples.where(place) | guess)
        if len(check.examples) < max(SHOWN, SHOWN_ERRORS):
            check.examples.append(examples.show(place) | guess)
    check.note = (
        "The most suspicious first; the score is one minus the probability of the given label by models that were not "
        "trained on the example. All are in label_errors.csv; none is changed without data.clean=drop or relabel."
    )
    if not len(errors.places):
        check.note = "No label looks wrong to models that were not trained on its example."
    else:
        check.problems.append(
            f"{len(errors.places):,} of {len(labels):,} labels may be wrong: see the list in label_errors.csv, the most "
            "suspicious first; correct them, or train with data.clean=drop or relabel"
        )
    return check

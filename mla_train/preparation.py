"""From raw examples to splits that a network reads: what is broken, missing or repeated, cuts, vocabulary, statistics."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from mla_train.checks.cleaning import clean_labels
from mla_train.config import ClassOptions, Clean, OnError, PooledHeadOptions, Rare, SplitOptions, TrainConfig
from mla_train.data.batch import Batch
from mla_train.data.examples import RawData, selected
from mla_train.data.mapped import Joined, Mapped
from mla_train.data.splits import SPLITS
from mla_train.data.tables.cells import as_label, is_empty
from mla_train.data.text_store import TextStore
from mla_train.dataset import Dataset, Split
from mla_train.errors import UserError, few, require
from mla_train.heads.base import Head
from mla_train.known_inputs import describe_known, known_specs
from mla_train.modalities.base import Column, Modality
from mla_train.model import ModelSpec
from mla_train.repeats import cut_together, equal_inputs, has_repeats, leave_out_repeats
from mla_train.splitting import Places, check_classes, cut_splits, draw_train, split_keys


def prepare(raw: RawData, modalities: dict[str, type[Modality]], head: type[Head], config: TrainConfig) -> Dataset:
    """Cleans, splits and learns what the network must know of the data.

    Raises:
        UserError: The data is not as it must be.
    """
    notes = list(raw.notes)
    options = _with_shares(config.data, raw, notes)
    _check_class_options(head, config)
    if head.kind == "classification" and getattr(options, "rare", Rare.keep_in_train) is not Rare.keep_in_train:
        raw = _without_rare(raw, options, notes)
    parts = list(raw.splits.values())
    target, targets_of = head.load_targets({name: part.targets for name, part in raw.splits.items()}, options, notes)
    if raw.classes is not None and hasattr(target, "classes") and getattr(options, "labels", None) is None:
        class_names = {str(number): name for number, name in enumerate(raw.classes)}
        # A number without a name, such as -1 for unlabelled, stays.
        known, unseen = ([class_names.get(n, n) for n in numbers] for numbers in (target.classes, target.unseen))
        target = replace(target, classes=known, unseen=unseen, written=target.names)

    ends = np.cumsum([0, *(len(part.targets) for part in parts)])
    rows = {split: np.arange(ends[i], ends[i + 1]) for i, split in enumerate(raw.splits)}
    all_targets = _concatenated([targets_of[split] for split in raw.splits])
    names: Sequence[str] = Joined([part.names for part in parts]) if all(part.names for part in parts) else ()
    counted = {split: range(1, len(places) + 1) for split, places in rows.items()}
    shown = names or Joined([Mapped(f"{split} example {{}}".format, numbers) for split, numbers in counted.items()])
    all_columns = {
        name: kind.load(_concatenated([part.inputs[name] for part in parts]), shown, options, notes)
        for name, kind in modalities.items()
    }
    _leave_out_broken(rows, all_columns, shown, getattr(options, "on_error", OnError.stop), notes)
    _leave_out_empty(rows, all_columns, notes)
    groups = head.groups(all_columns, options)
    equal = equal_inputs(all_columns) if groups is None else groups
    have_other_names = any(type(column).contents is not Column.contents for column in all_columns.values())
    repeated = equal_inputs(all_columns, repeated=True) if groups is None and have_other_names else equal
    leave_out_repeats(rows, repeated, equal, all_targets, groups is not None, notes)
    by_group = raw.splits["train"].groups is not None and has_repeats(rows["train"], equal)
    keys = split_keys(raw.splits, shown, equal if by_group else groups, head.strata(all_targets), options, notes)
    sequence, classes = keys.sequence, getattr(target, "classes", None)
    is_by_class = keys.whole is None and keys.times is None
    cut = partial(cut_splits, rows, keys, classes, options, notes)
    cut_together(rows, equal if is_by_class else None, cut, notes)
    draw_train(rows, keys.strata, options, notes)
    check_classes(rows, keys.strata, classes, options, notes)

    columns = {split: {name: each.select(rows[split]) for name, each in all_columns.items()} for split in SPLITS}
    targets = {split: selected(all_targets, rows[split]) for split in SPLITS}
    clean = getattr(options, "clean", Clean.none)
    if clean is not Clean.none:
        kinds = {name: kind.kind for name, kind in modalities.items()}
        require(
            head.kind == "classification",
            f"data.clean={clean.value} looks for wrong classes, and these labels are those of a {head.kind}: leave it out",
        )
        kept, targets["train"] = clean_labels(columns["train"], kinds, targets["train"], target.classes, clean, notes)
        rows["train"], targets["train"] = rows["train"][kept], selected(targets["train"], kept)
        columns["train"] = {name: each.select(kept) for name, each in columns["train"].items()}
    for name, column in columns["train"].items():
        if column.is_missing().all():
            raise UserError(f"no training example has {name}: leave it out of data.modalities, or give it")
    taken = known_specs(config, modalities)
    for name, spec in taken.items():
        columns["train"][name].known = spec
    target, inputs = head.fit(target, targets["train"], modalities, columns["train"], options)
    notes += describe_known(config, inputs, taken)
    notes += [note for modality in inputs.values() for note in modality.fit_notes]
    for split in ("train", "val"):
        dropped = head.is_dropped(target, targets[split], inputs, columns[split], options)
        if dropped is None or not dropped.any():
            continue
        if dropped.all():
            raise UserError(f"all examples of {split} are over data.max_length={options.max_length} tokens: raise it")
        notes.append(
            f"left out {dropped.sum():,} examples of {split} over {options.max_length} tokens (data.max_length)"
        )
        rows[split] = rows[split][~dropped]
        columns[split] = {name: each.select(rows[split]) for name, each in all_columns.items()}
        targets[split] = selected(all_targets, rows[split])

    splits = {}
    for split in SPLITS:
        prepared = {name: inputs[name].prepare(column, notes) for name, column in columns[split].items()}
        split_targets = head.prepare_targets(target, targets[split], split, inputs, prepared, notes)
        split_names = selected(names, rows[split]) if names else ()
        sequences = None if sequence is None else _places_by_value(sequence[rows[split]])
        belong = keys.groups if keys.groups is not None else sequence
        split_groups = None if belong is None else belong[rows[split]]
        splits[split] = Split(prepared, split_targets, split_names, sequences, split_groups)
        for name, column in prepared.items():
            missing = int(column.is_missing().sum())
            if missing and len(modalities) > 1:
                notes.append(f"{missing:,} of {len(rows[split]):,} examples of {split} have no {name}")
    train, level = splits["train"], config.regularization.augmentation
    for name, modality in inputs.items():
        vary = modality.augmentation(level, options)
        if vary is not None:
            train.augmentations[name] = vary
    if len(modalities) > 1:
        train.modality_dropout = getattr(config.task, "modality_dropout", 0.0)
    vary_batch = None
    if [modality.kind for modality in inputs.values()] == ["image"] and head.kind == "classification":
        from mla_train.modalities.image.augment import build_mixing

        mixing = build_mixing(level, len(target.classes))
        vary_batch = None if mixing is None else partial(_mix_images, mixing=mixing)
    has_sequences = any(len(each) > 1 for part in splits.values() for each in part.sequences or [])
    spec = ModelSpec(inputs, head, target, has_sequences, raw.columns)
    return Dataset(spec, **splits, notes=notes, vary=vary_batch)


def prepare_unlabelled(
    raw: RawData, modalities: dict[str, type[Modality]], head: type[Head], labelled: type[Head], config: TrainConfig
) -> Dataset:
    """As `prepare`, for a head that reads no labels.

    Where there are labels they still decide how splits are cut: what a task with labels keeps for val and test is not learnt
    from here either, so that its scores stay honest when it starts from these weights.

    Args:
        raw: The examples.
        modalities: Kind of each input.
        head: Kind of answer, which reads no labels.
        labelled: Kind of answer that a task would learn from the labels.
        config: Full config of the run.
    """
    _check_class_options(head, config)
    nothing = {split: replace(part, targets=[None] * len(part.targets)) for split, part in raw.splits.items()}
    unlabelled = replace(raw, splits=nothing, classes=None)
    if any(label is None or is_empty(label) for part in raw.splits.values() for label in part.targets):
        return prepare(unlabelled, modalities, head, config)
    try:
        data = prepare(raw, modalities, labelled, config)
    except UserError:  # no labels that a task could learn, such as one class, or the data is wrong in itself
        return prepare(unlabelled, modalities, head, config)
    target = head.spec_class()

    def without_labels(split: str) -> Split:
        part: Split = getattr(data, split)
        zeros = np.zeros(len(part.targets), np.int64)
        return replace(
            part,
            targets=head.prepare_targets(target, zeros, split, data.spec.inputs, part.columns, data.notes),
        )

    train, val, test = map(without_labels, SPLITS)
    spec = replace(data.spec, head=head, target=target)
    return replace(data, spec=spec, train=train, val=val, test=test, vary=None)


def _mix_images(batch: Batch, mixing: Callable[[Any, Any], tuple[Any, Any]]) -> None:
    if len(batch) > 1:
        ((name, tensors),) = batch.inputs.items()
        images, batch.targets = mixing(tensors.images.float(), batch.targets)
        batch.inputs[name] = replace(tensors, images=images)


def _check_class_options(head: type[Head], config: TrainConfig) -> None:
    """Raises a UserError where options of one class an example are set for another kind of answer."""
    if head.kind == "classification":
        return
    usual = {"task": PooledHeadOptions(), "data": ClassOptions()}
    names = {"task": ("class_weight", "focal_gamma", "threshold"), "data": ("sampling", "unseen")}
    for node, options in usual.items():
        for name in names[node]:
            value = getattr(options, name)
            require(
                getattr(getattr(config, node), name, value) == value,
                f"{node}.{name} is for one class an example, and here the answer is of kind {head.kind}: leave it out",
            )


def _without_rare(raw: RawData, options: Any, notes: list[str]) -> RawData:
    """The data with classes of few training examples joined as `other`, or left out of all splits."""
    labels = {split: [as_label(label) for label in part.targets] for split, part in raw.splits.items()}
    counts = Counter(labels["train"])
    rare = {label for label, count in counts.items() if count < options.min_class_size}
    if not rare:
        return raw
    count = sum(counts[label] for label in rare)
    what = "became class other" if options.rare is Rare.other else "were left out"
    notes.append(
        f"{count:,} training examples of {len(rare):,} classes {what}: {', '.join(sorted(rare)[:5])} (data.rare)"
    )
    splits = {}
    for split, part in raw.splits.items():
        targets = ["other" if label in rare else label for label in labels[split]]
        kept = np.array([options.rare is Rare.other or label not in rare for label in labels[split]])
        places = np.flatnonzero(kept)
        splits[split] = replace(part, targets=targets).select(places)
    return replace(raw, splits=splits)


def _with_shares(options: Any, raw: RawData, notes: list[str]) -> Any:
    """The options with smaller shares for val and test where the data is large and the user names none."""
    usual = SplitOptions()
    for split in ("test", "val"):
        name = f"{split}_share"
        share = getattr(usual, name)
        is_cut_by_share = split not in raw.splits and not (split == "test" and getattr(options, "folds", None))
        if is_cut_by_share and getattr(options, name, None) == share > raw.most_share:
            options = replace(options, **{name: raw.most_share})
            notes.append(
                f"{split} is {raw.most_share:.2%} of the training texts: of a large corpus {share:.0%} would take long to evaluate "
                f"(another data.{name}=, or data.{split}=FILE)"
            )
    return options


def _concatenated(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], torch.Tensor):
        return torch.cat(list(parts))
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    if isinstance(parts[0], TextStore):
        return parts[0] if len(parts) == 1 else TextStore(text for part in parts for text in part)
    return [value for part in parts for value in part]


def _leave_out_broken(
    rows: Places, columns: Mapping[str, Any], names: Sequence[str], on_error: OnError, notes: list[str]
) -> None:
    """Stops at values that cannot be read, leaves their examples out, or takes them as missing."""
    for name, column in columns.items():
        if not column.broken:
            continue
        total = sum(map(len, rows.values()))
        broken = list(column.broken)
        problem = (
            f"{len(broken):,} of {total:,} examples have {name} that cannot be read: {few([names[i] for i in broken])}"
        )
        if isinstance(column.broken, Mapping):
            problem += f"; the first: {column.broken[broken[0]]}"
        if on_error is OnError.stop:
            raise UserError(
                f"{problem}. Correct or remove them, leave them out with data.on_error=skip, or keep the rest of the example "
                "with data.on_error=missing"
            )
        if on_error is OnError.skip:
            for split, places in rows.items():
                rows[split] = places[~np.isin(places, broken)]
        notes.append(f"{problem}; they are {'left out' if on_error is OnError.skip else 'taken as missing'}")


def _leave_out_empty(rows: Places, columns: Mapping[str, Any], notes: list[str]) -> None:
    """Leaves out examples without any input."""
    empty = np.all([column.is_missing() for column in columns.values()], axis=0)
    inputs = " or ".join(columns)
    for split, places in rows.items():
        rows[split] = places[~empty[places]]
        lost = len(places) - len(rows[split])
        if lost:
            notes.append(f"left out {lost:,} examples of {split} without {inputs}")
        if not len(rows[split]):
            raise UserError(f"the {split} split has no example with {inputs}")


def _places_by_value(values: np.ndarray) -> list[np.ndarray]:
    """Places of equal values, in order."""
    _, numbers = np.unique(values, return_inverse=True)
    return np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1])

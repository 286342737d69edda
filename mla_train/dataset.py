"""From raw examples to splits that a network reads: missing and repeated examples, cutting splits, vocabulary, statistics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from mla_train.config import OnError, TrainConfig
from mla_train.data.batch import Batch
from mla_train.data.examples import Examples, RawData
from mla_train.data.splits import SPLITS, group_cut, random_cut, stratified_cut
from mla_train.errors import UserError
from mla_train.heads.base import Head
from mla_train.modalities.base import Modality
from mla_train.model import ModelSpec


@dataclass
class Example:
    """An example as a batch is made of it.

    Attributes:
        index: Place in its split.
        inputs: Each input by name; None is missing.
        target: What is to be predicted.
    """

    index: int
    inputs: dict[str, Any]
    target: Any


@dataclass
class Split:
    """A split in memory. Its items are lists of examples: sequences, or single examples where there are none.

    Attributes:
        columns: Values of each input.
        targets: What is to be predicted, one an example.
        names: Name of each example; empty where they have none.
        groups: Places of the examples of each sequence, in order; None where each example is alone.
        augmentations: Random variation of an input in training.
        modality_dropout: Probability that training leaves out an input, as long as another is present.
        drop: How each input is left out.
    """

    columns: dict[str, Any]
    targets: Any
    names: list[str] = field(default_factory=list)
    groups: list[np.ndarray] | None = None
    augmentations: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    modality_dropout: float = 0.0

    def __len__(self) -> int:
        """Number of items."""
        return len(self.targets) if self.groups is None else len(self.groups)

    def __getitem__(self, index: int) -> list[Example]:
        """The examples of an item."""
        places = [index] if self.groups is None else self.groups[index]
        return [self._example(int(place)) for place in places]

    def _example(self, place: int) -> Example:
        inputs = {name: column[place] for name, column in self.columns.items()}
        for name, vary in self.augmentations.items():
            if inputs[name] is not None:
                inputs[name] = vary(inputs[name])
        if self.modality_dropout:
            self._drop_inputs(inputs)
        return Example(place, inputs, self.targets[place])

    def _drop_inputs(self, inputs: dict[str, Any]) -> None:
        present = [name for name, value in inputs.items() if value is not None]
        chances = torch.rand(len(present)).tolist()
        dropped = [name for name, chance in zip(present, chances, strict=True) if chance < self.modality_dropout]
        if len(dropped) == len(present):  # one stays
            dropped.pop(int(torch.rand(()) * len(dropped)))
        for name in dropped:
            inputs[name] = None

    def first(self, count: int) -> "Split":
        """The first items."""
        groups = None if self.groups is None else self.groups[:count]
        places = np.arange(min(count, len(self.targets))) if groups is None else np.concatenate(groups)
        columns = {name: column.select(places) for name, column in self.columns.items()}
        names = [self.names[place] for place in places] if self.names else []
        if groups is not None:
            ends = np.cumsum([0, *map(len, groups)])
            groups = [np.arange(ends[i], ends[i + 1]) for i in range(len(groups))]
        return replace(self, columns=columns, targets=_selected(self.targets, places), names=names, groups=groups)

    def raw(self, place: int) -> dict[str, Any]:
        """An example as `Model.predict` takes it, without what is missing."""
        return {name: column.raw(place) for name, column in self.columns.items() if column[place] is not None}


@dataclass
class Dataset:
    """Three splits, and the way from their examples to batches.

    Attributes:
        spec: What the network must know of the data.
        train: Examples to learn from.
        val: Examples to choose by.
        test: Examples to report on, evaluated once.
        notes: Lines for the user: what was read, left out, cut, guessed.
        mix: Mixture of training images and their labels; None is none.
    """

    spec: ModelSpec
    train: Any
    val: Any
    test: Any
    notes: list[str] = field(default_factory=list)
    mix: Callable[[Any, Any], tuple[Any, Any]] | None = None

    def overfit(self, count: int) -> "Dataset":
        """The same with the first training items as all three splits: a sound model learns them by heart.

        Args:
            count: Number of items.
        """
        few = self.train.first(count)
        # Evaluation reads them as they are.
        evaluated = replace(few, augmentations={}, modality_dropout=0.0) if isinstance(few, Split) else few
        return replace(self, train=few, val=evaluated, test=evaluated)

    def count(self, split: str) -> int:
        """Number of examples of a split; more than its items where these are sequences.

        Args:
            split: "train", "val" or "test".
        """
        part = getattr(self, split)
        groups = getattr(part, "groups", None)
        return len(part) if groups is None else sum(map(len, groups))

    def lengths(self, split: str) -> np.ndarray | None:
        """Number of tokens of each item of a split, by which batches are bucketed; None where all are alike."""
        part = getattr(self, split)
        lengths = [length for column in part.columns.values() if (length := column.lengths()) is not None]
        total = self.spec.head.lengths(sum(lengths) if lengths else None, part.targets)
        if total is None or not total.any():
            return None
        return total if part.groups is None else np.array([total[group].sum() for group in part.groups])

    def collate(self, items: Sequence[list[Example]], training: bool) -> Batch:
        """Makes a batch.

        Args:
            items: Items of a split.
            training: Whether they are learnt from; images may then be mixed.
        """
        examples = [example for item in items for example in item]
        sequence = [number for number, item in enumerate(items) for _ in item]
        inputs = {
            name: modality.collate([example.inputs[name] for example in examples])
            for name, modality in self.spec.inputs.items()
        }
        targets = self.spec.head.collate(self.spec.target, [example.target for example in examples], training)
        batch = Batch(torch.tensor([example.index for example in examples]), inputs, targets, torch.tensor(sequence))
        if training and self.mix is not None and len(batch) > 1:
            (name,) = inputs
            images, batch.targets = self.mix(inputs[name].images.float(), targets)
            inputs[name] = replace(inputs[name], images=images)
        return batch


def raw_batch(spec: ModelSpec, examples: Sequence[Mapping[str, Any]]) -> Batch:
    """Raw examples as a batch without targets, each a sequence of its own.

    Args:
        spec: Spec of the data.
        examples: Raw values of each input by name; what is not given is missing.

    Raises:
        UserError: A value cannot be read.
    """
    inputs = {}
    for name, modality in spec.inputs.items():
        column = modality.preprocess([example.get(name) for example in examples])
        inputs[name] = modality.collate([column[place] for place in range(len(examples))])
    index = torch.arange(len(examples))
    return Batch(index, inputs, None, index)


def check_given(spec: ModelSpec, examples: Sequence[Mapping[str, Any]], start: int = 0) -> None:
    """Makes sure that each raw example has one input at least.

    Args:
        spec: Spec of the model.
        examples: Raw values of each input by name.
        start: Number of the first example, for the message.

    Raises:
        UserError: One has none.
    """
    for place, example in enumerate(examples, start):
        if not any(_is_given(example.get(name)) for name in spec.inputs):
            raise UserError(f"example {place} has no {' or '.join(spec.inputs)}")


def _is_given(value: Any) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip())


def prepare(raw: RawData, modalities: dict[str, type[Modality]], head: type[Head], config: TrainConfig) -> Dataset:
    """Reads, cleans, splits and learns what the network must know of the data.

    Args:
        raw: What a reader gave.
        modalities: Kind of each input.
        head: Kind of answer.
        config: Full config of the run.

    Raises:
        UserError: The data is not as it must be.
    """
    options, notes = config.data, list(raw.notes)
    target, targets = head.load_targets({name: part.targets for name, part in raw.splits.items()}, options, notes)
    if raw.classes is not None and hasattr(target, "classes") and getattr(options, "labels", None) is None:
        target = replace(target, classes=_named(target.classes, raw.classes))
    # From here on examples of all splits stand behind each other, and a split is a set of places.
    rows = _places(raw.splits)
    all_targets = _concatenated([targets[name] for name in raw.splits])
    names = [name for part in raw.splits.values() for name in part.names]
    shown = names or [f"{split} example {i + 1}" for split, places in rows.items() for i in range(len(places))]
    columns = {
        name: kind.load(_concatenated([part.inputs[name] for part in raw.splits.values()]), shown, options, notes)
        for name, kind in modalities.items()
    }
    rows = _without_broken(rows, columns, shown, getattr(options, "on_error", OnError.stop), notes)
    rows = _without_empty(rows, columns, notes)
    groups = head.groups(columns, options)
    _count_repeats(rows, columns, all_targets, groups, notes)
    sequence = None
    if any(part.sequence is not None for part in raw.splits.values()):
        sequence = np.concatenate([np.asarray(part.sequence) for part in raw.splits.values()])
    strata = head.strata(all_targets)
    for split, share in (("test", getattr(options, "test_share", 0.2)), ("val", getattr(options, "val_share", 0.1))):
        if split not in rows:
            classes = getattr(target, "classes", None)
            rows["train"], rows[split] = _cut(
                split, share, rows["train"], strata, sequence, groups, classes, options, notes
            )
    taken = {split: {name: column.select(rows[split]) for name, column in columns.items()} for split in SPLITS}
    for name in modalities:
        if taken["train"][name].is_missing().all():
            raise UserError(f"no training example has {name}: leave it out of data.modalities, or give it")
    split_targets = {split: _selected(all_targets, rows[split]) for split in SPLITS}
    target, fitted = head.fit(target, split_targets["train"], modalities, taken["train"], options)
    for split in ("train", "val"):
        dropped = head.is_dropped(target, split_targets[split], fitted, taken[split], options)
        if dropped is not None and dropped.any():
            notes.append(
                f"left out {dropped.sum():,} examples of {split} over {options.max_length} tokens (data.max_length)"
            )
            if dropped.all():
                raise UserError(
                    f"all examples of {split} are over data.max_length={options.max_length} tokens: raise it"
                )
            kept, rows[split] = np.flatnonzero(~dropped), rows[split][~dropped]
            taken[split] = {name: column.select(kept) for name, column in taken[split].items()}
            split_targets[split] = _selected(split_targets[split], kept)
    splits = {}
    for split in SPLITS:
        prepared = {name: fitted[name].prepare(column, notes) for name, column in taken[split].items()}
        part_targets = head.prepare_targets(target, split_targets[split], split, fitted, prepared, notes)
        part_names = [names[place] for place in rows[split]] if names else []
        sequences = None if sequence is None else _groups(sequence[rows[split]])
        splits[split] = Split(prepared, part_targets, part_names, sequences)
        for name, column in prepared.items():
            missing = int(column.is_missing().sum())
            if missing and len(modalities) > 1:
                notes.append(f"{missing:,} of {len(rows[split]):,} examples of {split} have no {name}")
    level = config.regularization.augmentation
    train = splits["train"]
    for name, modality in fitted.items():
        vary = modality.augmentation(level, options)
        if vary is not None:
            train.augmentations[name] = vary
    train.modality_dropout = getattr(config.task, "modality_dropout", 0.0) if len(modalities) > 1 else 0.0
    has_sequences = any(len(group) > 1 for part in splits.values() for group in part.groups or [])
    spec = ModelSpec(fitted, head, target, has_sequences)
    return Dataset(spec, train, splits["val"], splits["test"], notes, _mixing(spec, config))


def _named(numbers: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names of classes that are given as numbers; a number without a name, such as -1 for unlabelled, stays."""
    known = {str(number): name for number, name in enumerate(names)}
    return [known.get(number, number) for number in numbers]


def _mixing(spec: ModelSpec, config: TrainConfig) -> Any:
    """Mixture of images, where a single image is classified under strong augmentation."""
    kinds = [modality.kind for modality in spec.inputs.values()]
    if kinds != ["image"] or spec.head.kind != "classification":
        return None
    from mla_train.modalities.image.augment import build_mixing

    return build_mixing(config.regularization.augmentation, len(spec.target.classes))


def _places(splits: Mapping[str, Examples]) -> dict[str, np.ndarray]:
    """Places of the examples of each split, where all stand behind each other."""
    ends = np.cumsum([0, *(len(part.targets) for part in splits.values())])
    return {name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(splits)}


def _concatenated(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], torch.Tensor):
        return torch.cat(list(parts))
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return [value for part in parts for value in part]


def _selected(values: Any, places: np.ndarray) -> Any:
    return values[places] if isinstance(values, np.ndarray) else [values[place] for place in places]


def _without_broken(
    rows: dict[str, np.ndarray], columns: Mapping[str, Any], names: Sequence[str], on_error: OnError, notes: list[str]
) -> dict[str, np.ndarray]:
    """Stops at values that cannot be read, leaves their examples out, or takes them as missing."""
    for name, column in columns.items():
        if not column.broken:
            continue
        total = sum(map(len, rows.values()))
        shown = ", ".join(names[place] for place in column.broken[:5]) + (", ..." if len(column.broken) > 5 else "")
        problem = f"{len(column.broken):,} of {total:,} examples have {name} that cannot be read: {shown}"
        if on_error is OnError.stop:
            raise UserError(
                f"{problem}. Correct or remove them, leave them out with data.on_error=skip, or keep the rest of the example "
                "with data.on_error=missing"
            )
        if on_error is OnError.skip:
            rows = {split: places[~np.isin(places, column.broken)] for split, places in rows.items()}
        notes.append(f"{problem}; they are {'left out' if on_error is OnError.skip else 'taken as missing'}")
    return rows


def _without_empty(rows: dict[str, np.ndarray], columns: Mapping[str, Any], notes: list[str]) -> dict[str, np.ndarray]:
    """Leaves out examples without any input."""
    empty = np.all([column.is_missing() for column in columns.values()], axis=0)
    inputs = " or ".join(columns)
    kept = {}
    for split, places in rows.items():
        kept[split] = places[~empty[places]]
        lost = len(places) - len(kept[split])
        if lost:
            notes.append(f"left out {lost:,} examples of {split} without {inputs}")
        if not len(kept[split]):
            raise UserError(f"the {split} split has no example with {inputs}")
    return kept


def _count_repeats(
    rows: dict[str, np.ndarray], columns: Mapping[str, Any], targets: Any, groups: np.ndarray | None, notes: list[str]
) -> None:
    """Leaves repeated examples out of train, and counts those that splits share, and those with different targets.

    Splits are cut from train only after this, so that no example is in two of them.

    Args:
        rows: Places of the examples of each split; changed for train.
        columns: Loaded columns.
        targets: What is to be predicted.
        groups: Number of the group of each example, whose inputs count as one and have several targets; None is none.
        notes: Lines for the user.
    """
    keys = [column.keys() for column in columns.values()] if groups is None else [groups.tolist()]
    if any(key is None for key in keys):
        return
    inputs = list(zip(*keys, strict=True))
    labels = [target.tobytes() if isinstance(target, np.ndarray) else target for target in targets]
    for split, places in rows.items() if groups is None else ():
        labels_of: dict[Any, set[Any]] = {}
        for place in places:
            labels_of.setdefault(inputs[place], set()).add(labels[place])
        several = sum(len(found) > 1 for found in labels_of.values())
        if several:
            notes.append(f"{several:,} examples of {split} occur with more than one label; all are kept")
    first = {(inputs[place], labels[place]): place for place in reversed(rows["train"])}
    repeated = len(rows["train"]) - len(first)
    if repeated:
        notes.append(f"left out {repeated:,} repeated examples of train")
    rows["train"] = np.array(sorted(first.values()))
    known = {inputs[place] for place in rows["train"]}
    for split in ("val", "test"):
        shared = sum(inputs[place] in known for place in rows.get(split, ()))
        if shared:
            notes.append(f"{shared:,} examples of {split} are in train too; they stay, so that scores can be compared")


def _cut(
    split: str,
    share: float,
    places: np.ndarray,
    strata: np.ndarray | None,
    sequence: np.ndarray | None,
    groups: np.ndarray | None,
    classes: Sequence[str] | None,
    options: Any,
    notes: list[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Places that stay in train, and those that are cut off for another split."""
    seed = getattr(options, "split_seed", 0)
    cut = np.zeros(len(places), dtype=bool)
    if sequence is not None:
        sequences = np.unique(sequence[places])
        chosen = random_cut(len(sequences), share, seed, "sequences")
        cut = np.isin(sequence[places], sequences[chosen])
        how = f"in {len(chosen):,} whole sequences"
    elif groups is not None:
        cut[group_cut(groups[places], share, seed)] = True
        how = "equal inputs together"
    elif strata is None:
        cut[random_cut(len(places), share, seed, "examples")] = True
        how = "at random"
    else:
        cut[stratified_cut(strata[places], share, seed, classes)[1]] = True
        how = "stratified by class"
    notes.append(
        f"no {split} split is given: cut {cut.sum():,} of {len(places):,} training examples off for it, {how} "
        f"(data.split_seed={seed})"
    )
    return places[~cut], places[cut]


def _groups(sequence: np.ndarray) -> list[np.ndarray]:
    """Places of the examples of each sequence, in order."""
    _, numbers = np.unique(sequence, return_inverse=True)
    return np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1])

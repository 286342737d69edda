"""Recordings in a folder for each class, also as Speech Commands (Warden 2018) lays them out; no torch here."""

from pathlib import Path, PurePosixPath

import numpy as np

from mla_train.data.class_folders import read_class_folders
from mla_train.data.examples import Examples, RawData
from mla_train.data.file_kinds import RECORDINGS
from mla_train.errors import UserError, few
from tasks.speech_classification.config import AudioFolderConfig

LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}
"""Files that name the recordings of a split, as CLASS/FILE.wav in each line; all others are train."""
NOISE = "_background_noise_"
"""Folder of Speech Commands that is no word."""


def read_folder(options: AudioFolderConfig) -> RawData:
    """Recordings in `data.root`, see `read_class_folders`; lists of files in it, or beside it, say which are val and test.

    Raises:
        UserError: The folder is not as it must be, or a list names recordings that do not exist.
    """
    raw = read_class_folders(options, RECORDINGS)
    raw.splits = {split: _without_noise(examples, raw.notes) for split, examples in raw.splits.items()}
    root = Path(options.root or "")
    # The archive of Kaggle's challenge has them beside the folder of recordings.
    folder = next(
        (each for each in (root, root.resolve().parent) if any((each / name).is_file() for name in LISTS.values())),
        root,
    )
    lists = {split: folder / name for split, name in LISTS.items() if (folder / name).is_file()}
    if len(raw.splits) > 1 or not lists:
        return raw
    examples = raw.splits["train"]
    place_of = {str(name): place for place, name in enumerate(examples.names)}
    rest = set(range(len(examples.targets)))
    splits = {}
    for split, file in lists.items():
        lines = [line.strip().replace("\\", "/") for line in file.read_text("utf-8").splitlines()]
        names = [str(PurePosixPath(line)) for line in lines if line]
        lacking = [name for name in names if name not in place_of]
        if lacking:
            raise UserError(
                f"{file} names {len(lacking):,} recordings that are not in {root}: {few(lacking)}. Add them, or remove "
                f"these lines; without the file, splits are cut by data.val_share= and data.test_share="
            )
        places = sorted(rest & {place_of[name] for name in names})
        rest -= set(places)
        splits[split] = examples.select(np.array(places, dtype=int))
        raw.notes.append(f"{len(places):,} recordings are {split}, by {file.name}")
    raw.splits = {"train": examples.select(np.array(sorted(rest), dtype=int)), **splits}
    return raw


def _without_noise(examples: Examples, notes: list[str]) -> Examples:
    """Recordings of a split that are words."""
    is_word = np.array([label != NOISE for label in examples.targets])
    if is_word.all():
        return examples
    notes.append(f"left out {(~is_word).sum():,} recordings of {NOISE}, which is no class")
    return examples.select(np.flatnonzero(is_word))

"""Which folders hold train, val and test, by their names and by what lies in them."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mla_train.config import ClassFolderOptions
from mla_train.data.file_kinds import FileKind
from mla_train.data.image_files import LeftOut, choose_files, holds_files, is_hidden
from mla_train.data.splits import PART_NAMES, split_of
from mla_train.errors import UserError, few

FOLDER_NAMES = {
    "train": (*PART_NAMES["train"], "trn", "entrenamiento", "entrainement", "entraînement", "treino", "treinamento"),
    "val": (*PART_NAMES["val"], "eval", "evaluation", "development", "validación", "validacion", "validação"),
    "test": (*PART_NAMES["test"], "tests", "tst", "holdout", "hold-out", "hold_out", "prueba", "pruebas", "teste"),
}
"""Names of the folders of each split, in any case."""
FOLDER_NAME = re.compile(
    rf"(?:\d+[\W_]*)?({'|'.join(name for names in FOLDER_NAMES.values() for name in names)})"
    r"(?:[\W_]*(?:set|data|dataset|daten|split|images?|imgs?|pictures?|pics?|photos?|files|folder|samples?|examples?))?",
    re.IGNORECASE,
)
"""The name of a folder that holds a split, such as `Trainingset` or `1_train`."""
PART_WORD = re.compile(rf"(?<![a-z])({'|'.join(name for names in PART_NAMES.values() for name in names)})(?![a-z])")


def split_of_folder(name: str) -> str | None:
    """The split that the name of a folder means; None where it means none."""
    match = FOLDER_NAME.fullmatch(name.strip())
    return match and next(split for split, names in FOLDER_NAMES.items() if match[1].lower() in names)


def split_folders(
    root: Path, options: ClassFolderOptions, kind: FileKind, left_out: LeftOut, notes: list[str]
) -> dict[str, Path]:
    """The folder of each split; the root itself is train where it holds the classes.

    Raises:
        UserError: Splits and classes cannot be told apart, or there is no train folder.
    """
    folders = sorted(child for child in root.iterdir() if child.is_dir() and not is_hidden(child.name))
    given = _named(root, options, kind)
    if not given:
        given = _found(root, folders, notes)
        if not given:
            _check_parts(root, folders)
            _check_contents(root, folders, kind)
            return {"train": root}
        _check_others(root, given, kind, [folder for folder in folders if folder not in given.values()])
    if root not in given.values():
        left_out.folders += [folder for folder in folders if folder not in given.values()]
        beside = (path for path in root.iterdir() if not path.is_dir())
        left_out.strays += choose_files(beside, root, kind.endings(), left_out)
    return {split: given[split] for split in PART_NAMES if split in given}


def _named(root: Path, options: ClassFolderOptions, kind: FileKind) -> dict[str, Path]:
    """The folders that the options name."""
    given: dict[str, Path] = {}
    for split in PART_NAMES:
        name = getattr(options, split)
        if name is None:
            continue
        inside, beside = root / name, Path(name)
        if not inside.is_dir() and not beside.is_dir():
            raise UserError(f"data.{split}={name}: there is no such folder ({inside.resolve()})")
        given[split] = inside if inside.is_dir() else beside
    if given and "train" not in given:
        raise UserError(f"data.train is missing: name the folder of the training {kind.name}s")
    return given


def _found(root: Path, folders: Sequence[Path], notes: list[str]) -> dict[str, Path]:
    """The folders whose names mean a split."""
    given: dict[str, Path] = {}
    for folder in folders:
        split = split_of_folder(folder.name)
        if split is None:
            continue
        if split in given:
            raise UserError(
                f"{root} has {given[split].name} and {folder.name}, both {split}: rename or remove one, or name the folders "
                f"to read: data.train=FOLDER data.{split}={folder.name}"
            )
        given[split] = folder
    if given and "train" not in given:
        names = {split: folder.name for split, folder in given.items()}
        raise UserError(
            f"{root} has {', '.join(names.values())} but no train folder: add it, or name the folders to read: "
            f"data.train=FOLDER {_options(names)}; if they are classes: data.train=."
        )
    unusual = [f"{folder.name} is {split}" for split, folder in given.items() if split_of(folder.name) is None]
    if unusual:
        notes.append(f"folders are taken for splits: {', '.join(unusual)} (data.train=, data.val=, data.test=)")
    return given


def _check_parts(root: Path, folders: Sequence[Path]) -> None:
    """Refuses folders such as seg_train and seg_test, whose names differ in the word for a split alone."""
    alike: dict[str, dict[str, str]] = {}
    for folder in folders:
        name = folder.name.lower()
        word = PART_WORD.search(name)
        split = split_of(word[0]) if word else None
        if split:
            alike.setdefault(PART_WORD.sub("*", name, count=1), {})[split] = folder.name
    for names in alike.values():
        if "train" in names and len(names) > 1:
            raise UserError(
                f"{root} has the folders {' and '.join(names.values())}, which look like splits, not like classes: rename "
                f"them to {' and '.join(names)}, or write {_options(names)}; if they are classes: data.train=."
            )


def _check_contents(root: Path, folders: Sequence[Path], kind: FileKind) -> None:
    """Asks whether folders that hold the same folders are splits or classes."""
    inner = {folder: names for folder in folders if (names := _class_names(folder, kind))}
    if len(inner) < 2 or any("" in names for names in inner.values()):
        return
    common, every = set.intersection(*inner.values()), set.union(*inner.values())
    if len({split_of_folder(name) for name in common} - {None}) > 1:  # splits inside of classes, which are asked about
        return
    if len(common) > 1 and 2 * len(common) >= len(every):
        raise UserError(
            f"the folders {few([folder.name for folder in inner])} of {root} hold the same folders "
            f"({few(sorted(common), 3)}): if they are splits, say which is which: "
            "data.train=FOLDER data.test=FOLDER; if they are classes: data.train=."
        )


def _check_others(root: Path, given: Mapping[str, Path], kind: FileKind, others: Sequence[Path]) -> None:
    """Asks what a folder beside the splits is that holds their classes, too."""
    classes = _class_names(given["train"], kind)
    for folder in others:
        common = _class_names(folder, kind) & classes - {""}
        if common:
            named = {split: path.name for split, path in given.items()}
            free = next((split for split in ("test", "val") if split not in given), "test")
            raise UserError(
                f"{root} has {', '.join(named.values())}, and {folder.name} holds their classes, too ({few(sorted(common), 3)}): name "
                f"the folders to read, such as {_options(named | {free: folder.name})}; others are left out"
            )


def _class_names(folder: Path, kind: FileKind) -> set[str]:
    """Names of the folders inside that hold files of a kind, "" for files that lie in none."""
    names = set()
    for child in os.scandir(folder):  # which knows without another call what is a folder
        try:
            name = child.name if child.is_dir() else ""
        except OSError:  # a link that leads to itself
            continue
        if name not in names and not is_hidden(child.name) and holds_files(Path(child), kind.endings()):
            names.add(name)
    return names


def _options(names: Mapping[str, str]) -> str:
    return " ".join(f"data.{split}={name}" for split, name in names.items())

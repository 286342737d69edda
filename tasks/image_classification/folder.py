"""Images in a folder for each class."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from mla_train.data.examples import Examples, RawData
from mla_train.data.image_files import LeftOut, choose_images, is_hidden
from mla_train.data.splits import PART_NAMES, split_of
from mla_train.data.tables.source import format_of
from mla_train.errors import UserError
from mla_train.modalities.image.decode import image_endings
from tasks.image_classification.config import ImageFolderConfig

PART_WORD = re.compile(rf"(?<![a-z])({'|'.join(name for names in PART_NAMES.values() for name in names)})(?![a-z])")
Classes = dict[str, list[Path]]
"""Images of each class."""


def read_folder(options: ImageFolderConfig) -> RawData:
    """Images in `data.root`: train/, val/ and test/ with a folder for each class, or the class folders themselves.

    Raises:
        UserError: There is no such folder, it is empty, or it has another layout.
    """
    if options.root is None:
        raise UserError("data.root is missing: name the folder that holds your images, data.root=FOLDER")
    root = Path(options.root)
    if not root.is_dir():
        raise UserError(f"data.root={options.root}: there is no such folder ({root.resolve()})")
    left_out = LeftOut()
    given = _split_folders(root, left_out)
    files = {split: _class_files(folder, root, left_out) for split, folder in given.items()}
    _check_spelling({name for classes in files.values() for name in classes})
    lacking = sorted({name for classes in files.values() for name in classes} - files["train"].keys())
    if lacking:
        where = [given[split].name for split, classes in files.items() if set(lacking) & set(classes)]
        raise UserError(
            f"class {', '.join(lacking)} is in {' and '.join(where)} but has no image in {given['train']}: "
            "add images there or remove the class"
        )
    splits = {}
    for split, classes in files.items():
        paths = [path for images in classes.values() for path in images]
        labels = [name for name, images in classes.items() for _ in images]
        splits[split] = Examples({"image": paths}, labels, [str(path.relative_to(root)) for path in paths])
    return RawData(splits, left_out.notes(root))


def _split_folders(root: Path, left_out: LeftOut) -> dict[str, Path]:
    """The folder of each split; the root itself is train where it holds the classes."""
    folders = sorted(child for child in root.iterdir() if child.is_dir() and not is_hidden(child.name))
    given: dict[str, Path] = {}
    for folder in folders:
        split = split_of(folder.name)
        if split is None:
            continue
        if split in given:
            raise UserError(f"{root} has {given[split].name} and {folder.name}, both {split}: rename or remove one")
        given[split] = folder
    if not given:
        _check_parts(root, folders)
        return {"train": root}
    if "train" not in given:
        raise UserError(f"{root} has {', '.join(f.name for f in given.values())} but no train folder: add it")
    left_out.folders += [folder for folder in folders if folder not in given.values()]
    left_out.strays += choose_images(root.glob("*"), root, image_endings(), left_out)
    return {split: given[split] for split in PART_NAMES if split in given}


def _check_parts(root: Path, folders: Iterable[Path]) -> None:
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
                f"them to {' and '.join(names)}"
            )


def _class_files(folder: Path, root: Path, left_out: LeftOut) -> Classes:
    """Images of each class, of which there must be some."""
    endings, classes = image_endings(), {}
    left_out.strays += choose_images(folder.glob("*"), folder, endings, left_out)
    for child in sorted(folder.iterdir()):
        if not child.is_dir():
            continue
        images = choose_images(child.rglob("*"), folder, endings, left_out)
        if images:
            classes[child.name] = images
        elif not is_hidden(child.name):
            left_out.folders.append(child)
    if not classes:
        raise UserError(
            f"{folder} holds no images in class folders: expected {folder}/CLASS/image.png, "
            f"or {folder}/train/CLASS/image.png"
        )
    _check_depth(folder, root, classes, left_out)
    return classes


def _check_depth(folder: Path, root: Path, classes: Classes, left_out: LeftOut) -> None:
    """Refuses a folder that lies above the one with the classes or the splits."""
    for name, images in classes.items():
        inner = sorted({path.relative_to(folder / name).parts[0] for path in images if path.parent != folder / name})
        shown = ", ".join(inner[:3]) + (", ..." if len(inner) > 3 else "")
        if len({split_of(each) for each in inner} - {None}) > 1:
            raise UserError(
                f"{folder / name} holds {shown}: splits come before classes, as in {root}/train/{name}; or, if it is a data "
                f"set of its own, write data.root={folder / name}"
            )
        if len(classes) == 1 and inner and all(path.parent != folder / name for path in images):
            remedy = f"write data.root={folder / name}" if folder == root else f"move them up to {folder}"
            raise UserError(
                f"{folder} holds one folder, {name}, with {shown} in it: if these are the classes, {remedy}"
            )
    table = next(
        (file for file in left_out.others if file.parent == root and format_of(file) not in (None, "txt")), None
    )
    if len(classes) == 1 and folder == root and table is not None:
        raise UserError(
            f"{root} holds a single class ({next(iter(classes))}), and {table.name}: if this table holds the labels, write "
            f"data=image_table data.root={table}"
        )


def _check_spelling(names: Iterable[str]) -> None:
    """Refuses classes whose names differ in case, in blanks at the ends, or in the code of an accent alone."""
    known: dict[str, str] = {}
    for name in sorted(names):
        other = known.setdefault(unicodedata.normalize("NFC", name).casefold().strip(), name)
        if other != name:
            raise UserError(
                f"the class folders {other} and {name} differ in spelling alone: put their images into one folder, or give "
                "one another name"
            )

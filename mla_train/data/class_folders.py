"""Images or recordings in a folder for each class."""

import os
import unicodedata
from collections.abc import Collection
from pathlib import Path

from mla_train.config import ClassFolderOptions
from mla_train.data.examples import Examples, RawData
from mla_train.data.file_kinds import FileKind
from mla_train.data.image_files import (
    LeftOut,
    choose_files,
    files_below,
    is_hidden,
    note_links,
    shown,
    without_thumbnails,
)
from mla_train.data.split_folders import split_folders, split_of_folder
from mla_train.data.tables.source import format_of
from mla_train.errors import UserError

Classes = dict[str, list[Path]]
"""Files of each class."""


def read_class_folders(options: ClassFolderOptions, kind: FileKind) -> RawData:
    """Files of a kind in `data.root`: train/, val/ and test/ with a folder for each class, or the class folders themselves.

    `data.train`, `data.val` and `data.test` name the folders of splits that are called otherwise.

    Raises:
        UserError: There is no such folder, it is empty, or it has another layout.
    """
    if options.root is None:
        raise UserError(f"data.root is missing: name the folder that holds your {kind.name}s, data.root=FOLDER")
    root = Path(options.root)
    if not root.is_dir():
        raise UserError(f"data.root={options.root}: there is no such folder ({root.resolve()})")
    left_out, notes = LeftOut(kind.name), list[str]()
    given = split_folders(root, options, kind, left_out, notes)
    files = {split: _class_files(folder, root, kind, left_out) for split, folder in given.items()}
    _check_spelling({name for classes in files.values() for name in classes})
    lacking = sorted({name for classes in files.values() for name in classes} - files["train"].keys())
    if lacking:
        where = [given[split].name for split, classes in files.items() if set(lacking) & set(classes)]
        raise UserError(
            f"class {', '.join(lacking)} is in {' and '.join(where)} but has no {kind.name} in {given['train']}: "
            f"add {kind.name}s there or remove the class; data.train= data.val= data.test= name the folders to read"
        )
    splits = {}
    note_links((path for classes in files.values() for images in classes.values() for path in images), root, notes)
    for split, classes in files.items():
        paths = [path for images in classes.values() for path in images]
        labels = [name for name, images in classes.items() for _ in images]
        splits[split] = Examples({kind.input: paths}, labels, [shown(path, root) for path in paths])
    return RawData(splits, [*notes, *left_out.notes(root)])


def _class_files(folder: Path, root: Path, kind: FileKind, left_out: LeftOut) -> Classes:
    """Files of each class, of which there must be some."""
    endings, classes = kind.endings(), {}
    children = {child: child.is_dir() for child in sorted(folder.iterdir())}
    beside = (child for child, is_folder in children.items() if not is_folder)
    left_out.strays += choose_files(beside, folder, endings, left_out)
    for child in filter(children.get, children):
        images = choose_files(files_below(child), folder, endings, left_out)
        images = without_thumbnails(images, child, left_out)
        if images:
            classes[child.name] = images
        elif not is_hidden(child.name):
            left_out.folders.append(child)
    if not classes:
        problem = f"{folder} holds no {kind.name}s in class folders: expected {folder}/CLASS/{kind.example}"
        if folder == root:
            raise UserError(
                f"{problem}, or {folder}/train/CLASS/{kind.example}; where a table or the names of the files tell the classes: "
                f"data={kind.input}_table data.train=TABLE"
            )
        raise UserError(
            f"{problem}. If {folder.name} is a class: data.train=.; to leave it out, name the other folders: "
            "data.train=FOLDER"
        )
    _check_depth(folder, root, kind, classes, left_out)
    return classes


def _check_depth(folder: Path, root: Path, kind: FileKind, classes: Classes, left_out: LeftOut) -> None:
    """Refuses a folder that lies above the one with the classes or the splits."""
    for name, images in classes.items():
        inner = sorted({parts[0] for path in images if len(parts := shown(path, folder / name).split(os.sep)) > 1})
        names = ", ".join(inner[:3]) + (", ..." if len(inner) > 3 else "")
        if len({split_of_folder(each) for each in inner} - {None}) > 1:
            raise UserError(
                f"{folder / name} holds {names}: splits come before classes, as in {root}/train/{name}; or, if it is a data "
                f"set of its own, write data.root={folder / name}"
            )
        again = sorted(set(inner) & (classes.keys() - {name}))
        if len(again) > 1:
            raise UserError(
                f"{folder / name} holds {', '.join(again[:3])}, as {folder} does: the data set seems to lie inside of itself once "
                f"more; remove {folder / name}, or write data.root={folder / name}"
            )
        if len(classes) == 1 and inner and all(path.parent != folder / name for path in images):
            remedy = f"write data.root={folder / name}" if folder == root else f"move them up to {folder}"
            raise UserError(
                f"{folder} holds one folder, {name}, with {names} in it: if these are the classes, {remedy}"
            )
    table = next(
        (file for file in left_out.others if file.parent == root and format_of(file) not in (None, "txt")), None
    )
    if len(classes) == 1 and folder == root and table is not None:
        raise UserError(
            f"{root} holds a single class ({next(iter(classes))}), and {table.name}: if this table holds the labels, write "
            f"data={kind.input}_table data.root={table}"
        )


def _check_spelling(names: Collection[str]) -> None:
    """Refuses classes whose names differ in case, in blanks at the ends, or in the code of an accent alone, or are no text."""
    for name in names:
        if name != name.encode("utf-8", "replace").decode():
            raise UserError(f"the name of the class folder {name!r} is no UTF-8: give it another one")
    known: dict[str, str] = {}
    for name in sorted(names):
        other = known.setdefault(unicodedata.normalize("NFC", name).casefold().strip(), name)
        if other != name:
            raise UserError(
                f"the class folders {other} and {name} differ in spelling alone: put their files into one folder, or give "
                "one another name"
            )

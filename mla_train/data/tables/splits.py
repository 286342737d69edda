"""Where the tables of a data set are: files by name, a folder of the usual shape, or a set on the Hugging Face hub."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mla_train.config import FileOptions, OnError, TableOptions
from mla_train.data.image_files import files_below, note_links, shown
from mla_train.data.split_file import COLUMNS, is_splits_file, read_splits, resolved
from mla_train.data.splits import PART_NAMES, split_of
from mla_train.data.tables.source import FORMATS, format_of
from mla_train.data.tables.table import Table, concatenate, read_table
from mla_train.errors import UserError, few

SHARD = re.compile(r"(-\d+-of-\d+|[-_]?(part)?[-_]?(\d{1,3}|\d{5,}))$")
"""What follows the name of a split in one of its files; four digits are a year."""


def read_tables(
    options: FileOptions, what: str, read: Callable[[Path, TableOptions], Table] = read_table
) -> dict[str, Table]:
    """The splits that the options name; "train" is among them.

    Args:
        options: Files, columns, and how tables are written.
        what: What the tables hold, for messages.
        read: Reader of a file.

    Raises:
        UserError: Nothing is named, or it cannot be read.
    """
    files: dict[str, list[Path]] = {}
    unread: list[str] = []
    if options.root is not None:
        root = Path(options.root)
        files = {"train": [root]} if root.is_file() else find_parts(root)
        unread = _unread(root, files) if root.is_dir() else []
        if root.is_dir():
            note_links([file for those in files.values() for file in those], root, unread)
    files |= {split: named_files(value, split, unread) for split in PART_NAMES if (value := getattr(options, split))}
    if files:
        if "train" not in files:
            raise UserError("data.train is missing: name the training file")
        tables = {
            split: concatenate([read(file, options) for file in those], _name(those)) for split, those in files.items()
        }
        tables["train"].notes += [*unread, *unread_of(options)]
        return split_by_column(tables, options)
    if options.hub is None:
        raise UserError(f"the {what} are missing: name data.root=FOLDER, data.train=FILE or data.hub=NAME")
    return split_by_column(_hub_tables(options.hub, options.revision), options)


def split_by_column(tables: dict[str, Table], options: FileOptions) -> dict[str, Table]:
    """The tables of splits that `data.split_column` says: a column of the training table, or a file of rows.

    Raises:
        UserError: A cell is no split, or a split is given twice.
    """
    column = options.split_column
    if column is None:
        usual = next((name for name in tables["train"].columns if name.lower() == "split"), None)
        cells = set(map(str, tables["train"].cells[usual])) if usual is not None and len(tables) == 1 else set()
        if len(cells) > 1 and all(map(split_of, cells)):
            tables["train"].notes.append(
                f"{tables['train'].file}: column {usual} is not used, though it names splits: data.split_column={usual} takes them"
            )
        return tables
    is_file = is_splits_file(column)
    splits_of = {
        split: _listed_splits(table, Path(column)) if is_file else _splits_of_rows(table, column)
        for split, table in tables.items()
        if is_file or split == "train"
    }
    twice = {each for each in splits_of["train"] if each in tables} - {"train"} if not is_file else set()
    if twice:
        raise UserError(
            f"{tables['train'].file}: column {column} says {' and '.join(sorted(twice))} of some rows, but a {twice.pop()} "
            "split is given, too: remove one of them"
        )
    parts: dict[str, list[Table]] = {} if is_file else {s: [table] for s, table in tables.items() if s != "train"}
    for split, splits in splits_of.items():
        for each in dict.fromkeys(filter(None, splits)):
            parts.setdefault(each, []).append(tables[split].select([i for i, s in enumerate(splits) if s == each]))
    if "train" not in parts:
        raise UserError(f"data.split_column={column} says train of no row")
    joined = {split: concatenate(parts[split], str(parts[split][0].file)) for split in PART_NAMES if split in parts}
    whole = joined["train"]
    for split, table in tables.items():
        if split in splits_of:
            whole.broken += table.broken
            whole.notes += table.notes
    left_out = sum(not each for splits in splits_of.values() for each in splits)
    if left_out:
        whole.notes.append(f"left out {left_out:,} rows that {column} does not list")
    return joined


def _splits_of_rows(table: Table, column: str) -> list[str]:
    splits = [split_of(str(cell)) or "" for cell in table.column(column)]
    if "" in splits:
        row = splits.index("")
        names = ", ".join(name for names in PART_NAMES.values() for name in names)
        raise UserError(
            f"{' '.join(table.origins[row])}: {column} is {table.column(column)[row]!r}; a split is called {names} "
            "(data.split_column)"
        )
    return splits


def _listed_splits(table: Table, file: Path) -> list[str]:
    listed = read_splits(file)
    known = [listed.get((resolved(name), place), ("", "")) for name, place in table.origins]
    if not any(split for split, _ in known):
        raise UserError(f"{file} lists no row of {table.file}: it belongs to other files (data.split_column)")
    now = zip(known, table.checksums(), table.origins, strict=True)
    others = [" ".join(origin) for (_, then), content, origin in now if then not in ("", content)]
    if others:  # rows were added or removed before them, or are in another order: test would be trained on
        raise UserError(
            f"{file} lists other rows than {table.file} has now: {len(others):,} of {len(known):,} are not as they were, {few(others)}. "
            f"Restore the table, or remove the column {COLUMNS[-1]} of {file} to split the rows by their places all the same "
            "(data.split_column)"
        )
    return [split for split, _ in known]


def named_files(value: Any, split: str, notes: list[str] | None = None) -> list[Path]:
    """Files that an option names: one, a list, a pattern such as `train-*.parquet`, or a folder of parts.

    Args:
        value: Value of the option.
        split: Name of the option.
        notes: Lines for the user; links out of a folder are added.

    Raises:
        UserError: A pattern or a folder holds no file that can be read.
    """
    if isinstance(value, list | tuple):
        return [file for each in value for file in named_files(each, split, notes)]
    path = Path(value)
    if path.is_dir():
        files = sorted(
            file for file in path.iterdir() if file.is_file() and format_of(file) and file.name[0] not in "._"
        )
        note_links(files, path, [] if notes is None else notes)
    elif any(sign in str(value) for sign in "*?[") and not path.exists():
        files = sorted(
            file for file in Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))) if file.is_file()
        )
    else:
        return [path]
    if not files:
        raise UserError(
            f"data.{split}={value}: no file there can be read, use .{', .'.join(FORMATS)}; the folder of all splits is named "
            f"by data.root={value}"
        )
    return files


def unread_of(options: FileOptions) -> list[str]:
    """A note on files that lie in or below the folder that an option names and are not read."""
    notes = []
    for split in PART_NAMES:
        value = getattr(options, split)
        if not isinstance(value, str | Path) or not Path(value).is_dir():
            continue
        read = set(named_files(value, split))
        left = sorted(
            shown(file, Path(value))
            for file in files_below(Path(value))
            if file not in read and not any(part[0] in "._" for part in file.relative_to(value).parts)
        )
        if left:
            notes.append(
                f"data.{split}={value}: left out {len(left):,} files that are in other folders or of other kinds, {few(left)}; a "
                f"list or a pattern reads them, data.{split}=[FILE,FILE]"
            )
    return notes


def _name(files: list[Path]) -> str:
    return str(files[0]) if len(files) == 1 else f"{files[0].parent} ({len(files)} files)"


def find_parts(root: Path) -> dict[str, list[Path]]:
    """Files of a folder that hold train, val and test; val may be called valid, validation or dev, in any case.

    A split may be in several files, such as train-00000-of-00002.parquet or train_1.csv, or in a folder of its name. A single
    table, of any name, is train. Without a file called test, the first whose name starts with test_ or test- is taken
    (test_2016, test_2017).

    Raises:
        UserError: There is no such folder, no train file in it, or a split is there in several ways.
    """
    if not root.is_dir():
        what = "folder" if format_of(root) is None else "file"
        raise UserError(f"data.root={root}: there is no such {what} ({root.resolve()})")
    tables = _tables_in(root)
    folders = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    split_files: dict[str, list[Path]] = {}
    for split, names in PART_NAMES.items():
        named = [[file] for name in names for file in tables if _stem(file) == name]
        shards = [file for file in tables if SHARD.sub("", _stem(file)) in names and _stem(file) not in names]
        inside = [_tables_in(folders[name]) for name in names if name in folders]
        ways = [each for each in (*named, shards, *inside) if each]
        if len(ways) > 1:
            shown = [str(file.relative_to(root)) for way in ways for file in way]
            raise UserError(
                f"{root} holds {', '.join(shown[:6])}{', ...' if len(shown) > 6 else ''}: name those that are {split} with "
                f"data.{split}=[FILE,FILE]"
            )
        others = [[file] for file in tables if split == "test" and _stem(file).startswith(("test_", "test-"))]
        if ways or others:
            split_files[split] = (ways or others)[0]
    if not split_files and len(tables) == 1:
        return {"train": tables}
    if "train" not in split_files:
        hint = f"; of {', '.join(file.name for file in tables[:5])} name one with data.train=FILE" if tables else ""
        raise UserError(
            f"{root} holds no train file (train.csv, .jsonl, .parquet, ...; also as .gz, .xz or .bz2){hint}"
        )
    return split_files


def _tables_in(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and file.name[0] not in "._" and format_of(file) not in (None, "txt", "npz")
    )


def _stem(file: Path) -> str:
    return file.name.split(".")[0].lower()


def _unread(root: Path, files: Mapping[str, Sequence[Path]]) -> list[str]:
    """A note on tables of a folder that belong to no split."""
    read = {file for those in files.values() for file in those}
    left = [file.name for file in _tables_in(root) if file not in read]
    shown = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
    return (
        [f"{root}: {shown} is not read, as its name is none of a split (data.train=, data.val=, data.test=)"]
        if left
        else []
    )


def _hub_tables(name: str, revision: str | None) -> dict[str, Table]:
    from datasets import Audio, ClassLabel, Image, load_dataset

    try:
        loaded = load_dataset(name, revision=revision)
    except Exception as error:  # the library raises many kinds, all of which mean the same here
        raise UserError(
            f"cannot load {name} from the hub: {error}. With its files at hand, name their folder: data.root=FOLDER"
        ) from error
    tables = {}
    for split, names in PART_NAMES.items():
        table = next((loaded[each] for each in names if each in loaded), None)
        if table is not None:
            for column, feature in table.features.items():
                if isinstance(feature, Image | Audio):  # files stay the bytes that they are
                    table = table.cast_column(column, type(feature)(decode=False))
            classes = {c: list(f.names) for c, f in table.features.items() if isinstance(f, ClassLabel)}
            cells = {column: list(table[column]) for column in table.column_names}
            places = [f"row {number}" for number in range(1, len(table) + 1)]
            tables[split] = Table(Path(f"{name}/{split}"), cells, places, class_names=classes)
    return tables


def report_broken(tables: dict[str, Table], on_error: OnError) -> list[str]:
    """Notes on what was guessed, and on rows that could not be read and are left out.

    Raises:
        UserError: There are such rows, and `data.on_error` stops the run.
    """
    notes = [note for table in tables.values() for note in table.notes]
    broken = [place for table in tables.values() for place in table.broken]
    if not broken:
        return notes
    shown = "; ".join(broken[:3]) + ("; ..." if len(broken) > 3 else "")
    if on_error is OnError.stop:
        raise UserError(
            f"{len(broken)} rows cannot be read: {shown}. Correct or remove them, or leave them out with data.on_error=skip"
        )
    return [*notes, f"left out {len(broken)} rows that cannot be read: {shown}"]

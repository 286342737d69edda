"""Where the tables of a data set are: files by name, a folder of the usual shape, or a set on the Hugging Face hub."""

from pathlib import Path
from typing import Any, Protocol

from mla_train.config import OnError
from mla_train.data.rows import Rows, find_parts, read_rows
from mla_train.data.splits import PART_NAMES
from mla_train.errors import UserError


class TableOptions(Protocol):
    """Options that name tables.

    Attributes:
        root: Folder with train, val and test files.
        train: The training file, instead of that of root.
        val: The validation file.
        test: The test file.
        hub: Name of a set on the hub, where no files are named.
        revision: Commit of the hub set.
    """

    root: str | None
    train: Any
    val: Any
    test: Any
    hub: str | None
    revision: str | None


def read_tables(options: TableOptions, what: str) -> dict[str, Rows]:
    """The splits that the options name; "train" is among them.

    Args:
        options: Options of a data set.
        what: What the tables hold, for the error message.

    Raises:
        UserError: Nothing is named, or it cannot be read.
    """
    named = {split: Path(getattr(options, split)) for split in PART_NAMES if getattr(options, split)}
    if options.root is not None:
        root = Path(options.root)
        files = {"train": root} if root.is_file() else find_parts(root)
        return {split: read_rows(file) for split, file in (files | named).items()}
    if named:
        if "train" not in named:
            raise UserError("data.train is missing: name the training file")
        return {split: read_rows(file) for split, file in named.items()}
    if options.hub is None:
        raise UserError(f"the {what} are missing: name data.root=FOLDER, data.train=FILE or data.hub=NAME")
    return _hub_tables(options.hub, options.revision)


def _hub_tables(name: str, revision: str | None) -> dict[str, Rows]:
    from datasets import ClassLabel, Image, load_dataset

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
                if isinstance(feature, Image):  # images stay the bytes that they are
                    table = table.cast_column(column, Image(decode=False))
            class_names = {c: list(f.names) for c, f in table.features.items() if isinstance(f, ClassLabel)}
            tables[split] = Rows(
                Path(f"{name}/{split}"), list(table.column_names), list(table), class_names=class_names
            )
    return tables


def report_broken(tables: dict[str, Rows], on_error: OnError) -> list[str]:
    """Notes on rows that could not be read and are left out.

    Args:
        tables: Tables of all splits.
        on_error: Whether such rows stop the run or are left out.

    Raises:
        UserError: There are such rows, and they stop the run.
    """
    broken = [place for table in tables.values() for place in table.broken]
    if not broken:
        return []
    shown = ", ".join(broken[:5]) + (", ..." if len(broken) > 5 else "")
    if on_error is OnError.stop:
        raise UserError(
            f"{len(broken)} rows cannot be read: {shown}. Correct or remove them, or leave them out with data.on_error=skip"
        )
    return [f"left out {len(broken)} rows that cannot be read: {shown}"]

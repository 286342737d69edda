"""Where the tables of a data set are: files by name, a folder of the usual shape, or a set on the Hugging Face hub."""

from pathlib import Path
from typing import Any, Protocol

from mla_train.config import OnError
from mla_train.data.rows import Rows, find_parts, read_rows
from mla_train.data.splits import PART_NAMES
from mla_train.errors import UserError


class TableOptions(Protocol):
    """Options that say where tables are.

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
    """The parts that the options name; "train" is among them.

    Args:
        options: Of a data set.
        what: What the tables hold, for the error message.

    Raises:
        UserError: Nothing is named, or it cannot be read.
    """
    named = {part: Path(getattr(options, part)) for part in PART_NAMES if getattr(options, part)}
    if options.root is not None:
        root = Path(options.root)
        found = {"train": root} if root.is_file() else find_parts(root)
        return {part: read_rows(file) for part, file in (found | named).items()}
    if named:
        if "train" not in named:
            raise UserError("data.train is missing: name the training file")
        return {part: read_rows(file) for part, file in named.items()}
    if options.hub is None:
        raise UserError(f"say where the {what} are: data.root=FOLDER, data.train=FILE or data.hub=NAME")
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
    for part, names in PART_NAMES.items():
        found = next((loaded[split] for split in names if split in loaded), None)
        if found is not None:
            for column, feature in found.features.items():
                if isinstance(feature, Image):  # images stay the bytes that they are
                    found = found.cast_column(column, Image(decode=False))
            class_names = {c: list(f.names) for c, f in found.features.items() if isinstance(f, ClassLabel)}
            tables[part] = Rows(Path(f"{name}/{part}"), list(found.column_names), list(found), class_names=class_names)
    return tables


def report_broken(tables: dict[str, Rows], on_error: OnError) -> list[str]:
    """Notes on rows that could not be read, if they may be left out.

    Args:
        tables: All parts.
        on_error: Stop or leave out.

    Raises:
        UserError: There are such rows and they may not be left out.
    """
    broken = [place for table in tables.values() for place in table.broken]
    if not broken:
        return []
    shown = ", ".join(broken[:5]) + (", ..." if len(broken) > 5 else "")
    if on_error is OnError.stop:
        raise UserError(
            f"{len(broken)} rows cannot be read: {shown}. Mend or remove them, or leave them out with data.on_error=skip"
        )
    return [f"left out {len(broken)} rows that cannot be read: {shown}"]

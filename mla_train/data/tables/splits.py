"""Where the tables of a data set are: files by name, a folder of the usual shape, or a set on the Hugging Face hub."""

from pathlib import Path

from mla_train.config import FileOptions, OnError
from mla_train.data.rows import Rows, find_parts, read_rows
from mla_train.data.splits import PART_NAMES
from mla_train.errors import UserError


def read_tables(options: FileOptions, what: str) -> dict[str, Rows]:
    """The splits that the options name; "train" is among them. Error messages say `what` the tables hold.

    Raises:
        UserError: Nothing is named, or it cannot be read.
    """
    files = {}
    if options.root is not None:
        root = Path(options.root)
        files = {"train": root} if root.is_file() else find_parts(root)
    files |= {split: Path(getattr(options, split)) for split in PART_NAMES if getattr(options, split)}
    if files:
        if "train" not in files:
            raise UserError("data.train is missing: name the training file")
        return {split: read_rows(file) for split, file in files.items()}
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
            classes = {c: list(f.names) for c, f in table.features.items() if isinstance(f, ClassLabel)}
            tables[split] = Rows(Path(f"{name}/{split}"), list(table.column_names), list(table), class_names=classes)
    return tables


def report_broken(tables: dict[str, Rows], on_error: OnError) -> list[str]:
    """Notes on rows that could not be read and are left out.

    Raises:
        UserError: There are such rows, and `data.on_error` stops the run.
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

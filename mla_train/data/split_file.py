"""The split of each row as a file, data_splits.csv, from which another run may take it."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mla_train.data.rows import RowName
from mla_train.errors import UserError
from mla_train.escaping import spreadsheet_cell
from mla_train.safe_files import atomic_path

SPLITS_FILE = "data_splits.csv"
COLUMNS = ("file", "row", "id", "split", "content")
"""The last is a checksum of the row's cells, which a file of an earlier version lacks."""


def write_splits(names: Mapping[str, Sequence[Any]], file: Path) -> None:
    """Writes the split of each row; nothing is written where examples are no rows of files.

    Args:
        names: Names of the examples of each split.
        file: File that is written.
    """
    rows = ((each, split) for split, those in names.items() for each in those if isinstance(each, RowName))
    if any(isinstance(each, RowName) for those in names.values() for each in those[:1]):
        with atomic_path(file) as part, part.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            for name, split in rows:
                path = f"./{name.file}" if spreadsheet_cell(name.file) != name.file else name.file
                writer.writerow((path, name.row, spreadsheet_cell(name.id), split, name.content))


def is_splits_file(name: str) -> bool:
    """Whether `data.split_column` names a file instead of a column."""
    return name.endswith(".csv") and Path(name).is_file()


def read_splits(file: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """The split of each row and the checksum of its cells, empty where it is not known, by its file and its place there.

    Raises:
        UserError: The file is none that `write_splits` has written.
    """
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            if tuple(reader.fieldnames or ()) not in (COLUMNS, COLUMNS[:4]):
                raise UserError(
                    f"data.split_column={file}: a column, or the {SPLITS_FILE} of a run, with {', '.join(COLUMNS[:4])}"
                )
            return {(resolved(row["file"]), row["row"]): (row["split"], row.get("content") or "") for row in reader}
    except (OSError, UnicodeError, csv.Error) as error:
        raise UserError(f"data.split_column={file} cannot be read: {error}") from error


def resolved(file: str) -> str:
    """The whole path of a file, by which it is known wherever a run was started."""
    return str(Path(file).resolve())

"""Which column of a table is which input of a model, and what a cell means for it."""

from collections.abc import Mapping, Sequence
from os.path import exists
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mla_train.data.file_cells import FileFinder, content_of
from mla_train.data.file_kinds import FILE_KINDS
from mla_train.data.readers import INPUT_NAMES
from mla_train.data.tables.cells import TEXT_WORDS, is_missing
from mla_train.data.tables.source import STDIN, Row, Source
from mla_train.errors import UserError, did_you_mean

if TYPE_CHECKING:  # options are checked before torch is loaded
    from mla_train.inference.predictor import Predictor

LONGEST_PATH = 200
"""Characters of a path that is not there, in messages."""
Columns = dict[str, str | list[str]]
"""Column of each input; a list where the texts of several become one."""


def find_columns(
    predictor: "Predictor", columns: Sequence[str], asked: Mapping[str, str], where: str, notes: list[str]
) -> Columns:
    """Column of each input.

    An input stands in the column that is asked for, else in that of the training data, else in the column of its own name or
    of a usual one. With one input and one column there is no question.

    Args:
        predictor: Trained model.
        columns: Columns of the table.
        asked: Input name to column, as the user gave them.
        where: Name of the file, for messages.
        notes: Lines for the user.

    Raises:
        UserError: A column that is asked for does not exist, or no column is an input.
    """
    inputs, options = predictor.spec.inputs, predictor.config.data
    column_of: Columns = {}
    for name, column in asked.items():
        if name not in inputs:
            raise UserError(f"--column {name}={column}: there is no input {name}; this model reads {', '.join(inputs)}")
        several = getattr(inputs[name].spec, "columns", []) and column not in columns and "," in column
        column_of[name] = column.split(",") if several else column
        for each in column.split(",") if several else [column]:
            if each not in columns:
                raise UserError(
                    f"--column {name}={column}: {where} has no column {each}. {did_you_mean(each, columns)}"
                )
    for name, modality in inputs.items():
        known = getattr(modality.spec, "columns", [])
        if name not in column_of and set(known) & set(columns):
            column_of[name] = list(known)
            lacking = [column for column in known if column not in columns]
            if lacking:
                notes.append(f"{where} has no column {', '.join(lacking)}, which {name} is read from: taken as missing")
        trained = getattr(options, f"{name}_column", None) or predictor.spec.columns.get(name)
        usual: list[Any] = [trained, name, *INPUT_NAMES.get(modality.kind, ())]
        known = [column for column in usual if column in columns]
        if name not in column_of and known:
            column_of[name] = known[0]
            if trained is not None and trained != known[0]:
                notes.append(f"{where} has no column {trained}, which {name} was read from in training")
    if not column_of and len(inputs) == 1 and len(columns) == 1:
        column_of = {next(iter(inputs)): columns[0]}
    if not column_of:
        first = next(iter(inputs))
        remedy = f"Name it with --column {first}=COLUMN"
        if inputs[first].kind == "items":
            remedy = (
                f"It needs a row for each user with the items in a column {first}, such as 'one | another', or a row for each event "
                "with a user and an item (--column user=COLUMN --column item=COLUMN)"
            )
        raise UserError(f"{where} has no column for {' or '.join(inputs)}; there are {', '.join(columns)}. {remedy}")
    twice = next((name for name in named(column_of) if f"{name} (2)" in columns), None)
    if twice is not None:
        raise UserError(f"{where} has several columns {twice}: give each a name of its own")
    lacking = [name for name in inputs if name not in column_of]
    if lacking:
        notes.append(f"{where} has no column for {', '.join(lacking)}: taken as missing (--column {lacking[0]}=COLUMN)")
    for name, chosen in column_of.items():
        if chosen != name:
            shown = f"columns {', '.join(chosen)}" if isinstance(chosen, list) else f"column {chosen}"
            notes.append(f"{name} is read from {shown}")
    return column_of


def named(columns: Columns) -> list[str]:
    """Names of all columns that inputs are read from."""
    return [name for each in columns.values() for name in (each if isinstance(each, list) else [each])]


def located(row: Row, number: int, fault: str) -> str:
    """What is wrong with a row, and where it stands, such as "line 7: no text".

    Args:
        row: Row of a file.
        number: Its number, from 1, for files whose rows have no other place.
        fault: What is wrong with it.
    """
    return fault if row.place and fault.startswith(row.place) else f"{row.place or f'row {number}'}: {fault}"


def parse_columns(words: Sequence[str]) -> dict[str, str]:
    """Input name to column, from words `INPUT=COLUMN`.

    Raises:
        UserError: A word is written otherwise.
    """
    columns = {}
    for word in words:
        name, sign, column = word.partition("=")
        if not sign or not column:
            raise UserError(f"--column {word}: write INPUT=COLUMN, such as text=review")
        columns[name] = column
    return columns


class Files:
    """Images and recordings that the cells of a source name, found as in training where it is a table: in its folder alone.

    Args:
        source: Table, folder, or lines; notes of paths that are written otherwise than the files are added.
    """

    def __init__(self, source: Source) -> None:
        self.source, self.finders = source, dict[str, FileFinder]()
        self.is_table = source.format not in ("files", "txt") and source.name != STDIN

    def read(self, kind: str, cell: str | bytes, place: str) -> Path | bytes:
        """The file that a cell names, or the bytes that it holds.

        Args:
            kind: Kind of the input.
            cell: Cell of a row.
            place: Where the row stands, for messages.

        Raises:
            UserError: The file lies outside of the folder, or is an address on the web.
        """
        if isinstance(cell, bytes) or not self.is_table:
            return cell if isinstance(cell, bytes) else self.source.folder / cell
        finder = self.finders.setdefault(kind, FileFinder(self.source.folder, FILE_KINDS[kind]))
        is_first = not finder.others
        found = finder.read(cell, place)
        if is_first and finder.others:
            written, actual = finder.others[0]
            self.source.notes.append(
                f"paths of {FILE_KINDS[kind].name}s are written otherwise than the files, such as {written!r} for {actual}"
            )
        if found is None or (isinstance(found, Path) and not exists(found)):
            return self.source.folder / cell[:LONGEST_PATH]
        return found


def raw_value(kind: str, row: Row, column: str | list[str], files: Files, na_values: Sequence[str] = ()) -> Any:
    """The raw value of an input in a row; None where it is empty.

    Args:
        kind: Kind of the input.
        row: The row.
        column: Column of the input; a list where the texts of several become one.
        files: Files that cells name.
        na_values: What the user of the training data said to mean a missing text.

    Raises:
        UserError: The cell cannot be an input of this kind.
    """
    cells = row.cells
    if isinstance(column, list):
        texts = [raw_value(kind, row, each, files, na_values) for each in column]
        return texts if any(text is not None for text in texts) else None
    cell = cells.get(column)
    if f"{column} (2)" in cells:
        raise UserError(f"there are several {column}: give each a name of its own")
    if is_missing(cell, na_values if kind == "text" else (), TEXT_WORDS):
        return [] if kind == "items" else None  # a new user has no history
    if kind == "text":
        if isinstance(cell, list | dict | bytes):
            raise UserError(f"a text is needed, not {type(cell).__name__}")
        return str(cell)
    if kind in FILE_KINDS:
        cell = content_of(cell)
        if not isinstance(cell, str | bytes):
            raise UserError(f"the path of a file ({FILE_KINDS[kind].example}) is needed, not {type(cell).__name__}")
        return files.read(kind, cell, row.place)
    return cell

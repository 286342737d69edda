"""What a row is beside its inputs and label: its name, its group, its time."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from mla_train.config import RowOptions
from mla_train.data.mapped import Lazy, Mapped
from mla_train.data.tables.cells import as_label, is_empty, is_missing
from mla_train.data.tables.fasta import COLUMNS
from mla_train.data.tables.table import Table
from mla_train.errors import UserError, few


class RowName(str):
    """Name of an example, such as "reviews.csv line 17", that knows its parts.

    Attributes:
        file: File of the row.
        row: Place of the row in the file, such as "line 17".
        id: Identifier that the user's table gives the row; empty where it gives none.
        content: Checksum of its cells, by which it is known again; empty where it is no row of a table.
    """

    __slots__ = ("content", "file", "id", "row")

    file: str
    row: str
    id: str
    content: str

    def __new__(cls, file: str, row: str, identifier: str = "", note: str = "", content: str = "") -> "RowName":
        """A name of file and place, with a note behind them."""
        name = super().__new__(cls, " ".join(filter(None, (file, row, note))))
        name.file, name.row, name.id, name.content = file, row, identifier, content
        return name

    def __reduce__(self) -> Any:
        """What a copy is made of."""
        note = self.removeprefix(f"{self.file} {self.row}".strip()).strip()
        return RowName, (self.file, self.row, self.id, note, self.content)


class Labels(list[Any]):
    """Labels of rows.

    Args:
        labels: Labels.
        origins: File and place of each.
    """

    def __init__(self, labels: Iterable[Any], origins: Sequence[tuple[str, str]]) -> None:
        known: dict[str, str] = {}  # each text once, however many rows have it
        super().__init__(known.setdefault(each, each) if type(each) is str else each for each in labels)
        self.origins = origins

    @property
    def places(self) -> Sequence[str]:
        """File and place of each label, as texts for messages."""
        return Mapped(" ".join, self.origins)


class RowNames(Lazy):
    """Names of rows.

    Args:
        origins: File and place of each row.
        ids: Identifier of each row; None where the table gives none.
        hints: What belongs into the names beside these; None where nothing does.
        contents: Checksum of each row's cells.
    """

    def __init__(
        self,
        origins: Sequence[tuple[str, str]],
        ids: Sequence[str] | None,
        hints: Sequence[str] | None,
        contents: Sequence[str],
    ) -> None:
        self.origins, self.ids, self.hints, self.contents = origins, ids, hints, contents

    def __len__(self) -> int:
        return len(self.origins)

    def value(self, place: int) -> RowName:
        """See `Lazy`."""
        file, row = self.origins[place]
        own, hint = ("" if each is None else each[place] for each in (self.ids, self.hints))
        return RowName(file, row, own, hint, self.contents[place])


def row_names(table: Table, options: RowOptions, notes: list[str], beside: Sequence[Any] | None = None) -> RowNames:
    """Name of each row.

    Args:
        table: Table.
        options: Column of identifiers, if there is one.
        notes: Lines for the user; identifiers that occur twice are added.
        beside: Further cells that belong into the names, such as paths of images.
    """
    column = options.id_column
    ids = None if column is None else _identifiers(table, column)
    counts = Counter(each for each in ids or () if each)
    repeated = [each for each, count in counts.items() if count > 1]
    if repeated:
        shown = ", ".join(repeated[:5]) + (", ..." if len(repeated) > 5 else "")
        notes.append(
            f"{table.file}: {len(repeated):,} values of {column} name more than one row: {shown} (data.id_column)"
        )
    hints = beside and [f"({cell})" if isinstance(cell, str) and not is_empty(cell) else "" for cell in beside]
    return RowNames(table.origins, ids, hints, table.checksums())


def row_keys(table: Table, options: RowOptions) -> dict[str, Any]:
    """Group and time of each row, as the table has them, None where a cell is missing; None where there is no such column."""
    columns = {"groups": options.group_column, "times": options.time_column}
    na_values = getattr(options, "na_values", [])
    return {
        key: None if column is None else [None if is_missing(c, na_values) else c for c in table.column(column)]
        for key, column in columns.items()
    }


def note_unused(table: Table, used: Iterable[str], options: RowOptions, notes: list[str]) -> None:
    """A note on columns of a table that nothing is read from."""
    roles = (getattr(options, f"{role}_column", None) for role in ("id", "group", "time", "split"))
    known = {*used, *roles, *(COLUMNS if set(COLUMNS) <= set(table.columns) else ())}  # of FASTA files
    unused = [name for name in table.columns if name not in known]
    if unused:
        notes.append(f"{table.file}: not used: column {few(unused)}")


def refuse_row_options(options: RowOptions, what: str) -> None:
    """Raises a UserError where the options name columns of rows, but the data has none."""
    for key in ("id_column", "group_column", "time_column", "split_column"):
        name = getattr(options, key, None)
        if name is not None:
            raise UserError(f"data.{key}={name}: {what} have no such column; write them as a table, or remove it")


def _identifiers(table: Table, column: str) -> list[str]:
    cells = table.column(column)
    try:
        return ["" if is_empty(cell) else as_label(cell) for cell in cells]
    except TypeError as error:
        raise UserError(f"{table.file}: {column} holds lists or objects: name another with data.id_column=") from error

"""The one reader of tables: any usual format, as a stream of rows or in memory."""

from collections.abc import Callable
from pathlib import Path

from mla_train.config import TableOptions
from mla_train.data.packed import UNREADABLE, check_regular
from mla_train.data.tables.fasta import open_fasta
from mla_train.data.tables.first_bytes import FIRST, fault_of
from mla_train.data.tables.formats import open_arrays, open_columns, open_lines, open_sheet
from mla_train.data.tables.json_rows import open_json
from mla_train.data.tables.separated import open_separated
from mla_train.data.tables.source import FORMATS, STDIN, Source, format_of, open_bytes
from mla_train.errors import UserError

OPEN: dict[str, Callable[[str, str, str, TableOptions], Source]] = {
    "csv": open_separated, "tsv": open_separated, "jsonl": open_json, "json": open_json, "parquet": open_columns,
    "arrow": open_columns, "xlsx": open_sheet, "npz": open_arrays, "txt": open_lines,
    "fasta": open_fasta,
}  # fmt: skip


def open_source(path: str | Path, kind: str | None = None, options: TableOptions | None = None) -> Source:
    """Opens a file or the standard input.

    Args:
        path: Path, or "-" for the standard input.
        kind: One of `FORMATS`; None takes the ending of the file, and lines of text for the standard input.
        options: How the file is written, where that is not to be found.

    Raises:
        UserError: There is no such file, it is empty, or of an unknown format.
    """
    path, name = str(path), STDIN if path == "-" else str(path)
    file = Path(path)
    if path == "-":
        kind = kind or "txt"
    size = 0 if path == "-" else check_regular(file)
    kind = kind or format_of(file)
    if kind is None:
        raise UserError(f"{file}: cannot read {file.suffix or 'a file without ending'}; use .{', .'.join(FORMATS)}")
    try:
        if path != "-":
            with open_bytes(path) as stream:
                fault = fault_of(stream.read(FIRST), kind)
            if fault:
                raise UserError(f"{name} is {fault}")
        source = OPEN[kind](path, name, kind, options or TableOptions())
    except UNREADABLE as error:
        raise UserError(f"{name} cannot be read: {error}") from error
    source.file_bytes = size
    source.folder = Path() if path == "-" else file.parent
    return source

"""Rows of JSON: an object in each line, a list of objects, or one object as pandas writes it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from mla_train.config import TableOptions
from mla_train.data.packed import check_cells, check_regular
from mla_train.data.tables.dialect import HEADER_WORDS
from mla_train.data.tables.source import OTHER_ENCODING, Row, Source, is_undecoded, numbered, read_lines
from mla_train.errors import UserError

CHUNK = 1024
MEMBER = 64  # bytes of a cell as a member of an object
FORMS = "write an object with the names of the columns in each line, or a list of such objects"


def open_json(path: str, name: str, kind: str, options: TableOptions) -> Source:
    """An object in each line; or one list of objects or of lists, or one object of columns or rows.

    The columns are those of the first objects; a column that appears later is one, too.
    """
    lines = read_lines(path, name, options.encoding)
    size = 0 if path == "-" else check_regular(path)
    start, filled, notes = list[str](), list[str](), list[str]()
    for line in lines:
        start.append(line)
        filled += [line] if line.strip() else []
        if len(filled) == 2:
            break
    values = [_of_line(line) for line in filled]
    rows: Iterator[Row] = iter(())
    if not filled:
        pass
    elif filled[0].lstrip().startswith("["):
        is_lines = len(values) == 2 and all(isinstance(value, list) for value in values)
        each = (line for line in chain(start, lines) if line.strip())
        rows = _items(name, list(map(_of_line, each)) if is_lines else _whole(each, name), size, notes)
    elif kind == "jsonl" or (len(filled) == 2 and isinstance(values[0], dict)):
        rows = _objects(chain(start, lines))
    else:
        rows = _items(name, _whole(chain(start, lines), name), size, notes)
    columns = dict[str, None]()
    head: list[Row] = []
    for row in rows:
        head.append(row)
        columns |= dict.fromkeys(row.cells)
        if len(head) == CHUNK:
            break
    return Source(name, "jsonl", list(columns), chain(head, rows), notes=notes)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a name that occurs again gets a number."""
    cells = dict(pairs)
    if len(cells) < len(pairs):
        cells = dict(zip(numbered([key for key, _ in pairs]), (value for _, value in pairs), strict=True))
    return cells


def _parsed(text: str) -> Any:
    """The value of a piece of JSON; None if it is no JSON."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return None


def _of_line(line: str) -> Any:
    """The value of a line; a comma behind it is no part of it."""
    value = _parsed(line)
    return _parsed(line.strip().removesuffix(",")) if value is None else value


def _whole(lines: Iterable[str], name: str) -> Any:
    try:
        return json.loads("".join(lines), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is no JSON: {error}; {FORMS}") from error


def _items(name: str, value: Any, size: int, notes: list[str]) -> Iterator[Row]:
    """Rows of a whole JSON value."""
    items = value if isinstance(value, list) else _records_of(value, name, size, notes)
    if items and all(isinstance(item, list) for item in items):
        items = _from_lists(name, items, None, notes)
    for number, cells in enumerate(items, 1):
        place = f"item {number}"
        yield Row(cells, "", place) if isinstance(cells, dict) else Row({}, f"{place} is no JSON object", place)


def _records_of(value: Any, name: str, size: int, notes: list[str]) -> list[Any]:
    """The rows of one object as pandas writes it: of columns, of rows, split into names and cells, or as a member `data`."""
    if not isinstance(value, dict):
        return [value]
    data = value.get("data")
    if isinstance(value.get("columns"), list) and isinstance(data, list):
        rows = _from_lists(name, data, list(map(str, value["columns"])), notes)
        return _with_index(value.get("index") or [], rows)
    lists = [each for each in value.values() if isinstance(each, list) and each]
    of_rows = [each for each in lists if all(isinstance(item, dict) for item in each)]
    if len(of_rows) == 1 and (len(lists) == 1 or of_rows[0] is data):
        return of_rows[0]
    if value and all(isinstance(each, dict) for each in value.values()):
        return _from_objects(value, name, size, notes)
    sizes = {len(each) if isinstance(each, list) else None for each in value.values()}
    if len(sizes) == 1 and None not in sizes:
        return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    if lists:
        raise UserError(f"{name}: its members {', '.join(value)} are no columns of one length: {FORMS}")
    return [value]


def _from_objects(value: dict[str, dict[str, Any]], name: str, size: int, notes: list[str]) -> list[dict[str, Any]]:
    """Rows of `{column: {row: cell}}`, joined by the keys of the rows, or of `{row: {column: cell}}`.

    The latter is meant where the inner keys are names and not numbers, and there are more objects than keys, or numbers
    for their names.
    """
    inner = list(dict.fromkeys(key for each in value.values() for key in each))
    if not _are_numbers(inner) and (_are_numbers(value) or (len(value) > len(inner) and not _has_usual_name(value))):
        notes.append(f"{name}: each object is a row, whose columns are {', '.join(inner[:5])}")
        return _with_index(list(value), list(value.values()))
    check_cells(len(inner), len(value), size, name, MEMBER)
    return _with_index(inner, [{column: cells.get(key) for column, cells in value.items()} for key in inner])


def _with_index(keys: Sequence[Any], rows: Sequence[Any]) -> list[Any]:
    """Rows with their keys as column `index`, unless they count rows."""
    if {str(key) for key in keys} == set(map(str, range(len(keys)))) or len(keys) != len(rows):
        return list(rows)
    return [{"index": key} | row if isinstance(row, dict) else row for key, row in zip(keys, rows, strict=True)]


def _from_lists(name: str, items: Sequence[Any], columns: list[str] | None, notes: list[str]) -> list[Any]:
    """Rows of lists of cells, whose names are given, or in the first list, or numbers."""
    if columns is None:
        head = items[0]
        if (
            head
            and all(isinstance(cell, str) for cell in head)
            and HEADER_WORDS & {cell.strip().lower() for cell in head}
        ):
            columns, items = [cell.strip() for cell in head], items[1:]
        else:
            columns = [f"column_{place}" for place in range(1, max(map(len, items)) + 1)]
            notes.append(f"{name} has no names of columns: they are {', '.join(columns)}")
    columns, width = numbered(columns), len(columns)
    return [
        dict(zip(columns, item, strict=True)) if isinstance(item, list) and len(item) == width else item
        for item in items
    ]


def _are_numbers(keys: Iterable[str]) -> bool:
    return all(key.lstrip("-").isdigit() for key in keys)


def _has_usual_name(keys: Iterable[str]) -> bool:
    return bool(HEADER_WORDS & {key.strip().lower() for key in keys})


def _objects(lines: Iterable[str]) -> Iterator[Row]:
    """Rows of lines."""
    for number, line in enumerate(lines, 1):
        place = f"line {number}"
        if is_undecoded(line):
            yield Row({}, f"{place} {OTHER_ENCODING}", place)
        elif line.strip():
            cells = _of_line(line)
            yield Row(cells, "", place) if isinstance(cells, dict) else Row({}, f"{place} is no JSON object", place)

"""The database of a sweep in a file, which may come from a stranger: SQLite does what is written in one when it opens it."""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import make_url

from mla_train.errors import few, require

JOURNAL_END = bytes.fromhex("d9d505f920a163d7")
"""Last bytes of a journal that names a journal of several databases, which SQLite removes (sqlite.org/fileformat2.html)."""
BRACKET = re.compile(r"\b(?:(?:table|references|on)\s+\"?\w+\"?|key|unique|check|in|varchar)\s*\(", re.IGNORECASE)
"""What stands before a bracket in the tables and indexes of Optuna: no function, which may make gigabytes."""
PLAIN = re.compile(r"(?:\w|\s|[(),=]|\"\w+\"|'\w+')*")
"""Signs of the tables and indexes of Optuna: none that joins values, and no comment."""
COMPUTED = re.compile(r"\b(?:as|generated|virtual|using)\b", re.IGNORECASE)


def address_of(file: Path) -> str:
    """The address of a database in a file; a UserError where signs of its name mean something else in an address."""
    address, path = f"sqlite:///{file.resolve()}", str(file.resolve())
    require(make_url(address).database == path, f"run_dir={file.parent}: name a folder without ? and % in its path")
    return address


def check_database(file: Path) -> None:
    """Checks a database before anything else opens it.

    Raises:
        UserError: Its journal would remove another file; or it has views, triggers or functions, which Optuna never writes: a
            stranger's may have no end, or fill the memory.
    """
    file = file.resolve()
    parts = [file.with_name(file.name + ending) for ending in ("", "-journal", "-wal", "-shm")]
    odd = [part.name for part in parts if os.path.lexists(part) and not part.is_file()]
    require(not odd, f"{file} is no study: {few(odd)} is no regular file")
    require(
        not _end_of(parts[1]).endswith(JOURNAL_END),
        f"{parts[1]} names a file that would be removed, and no sweep has written it: remove {parts[1].name}",
    )
    if not file.exists():
        return
    with closing(sqlite3.connect(file)) as database:
        schema = database.execute("select type, name, coalesce(sql, '') from sqlite_master").fetchall()
        _check_schema(schema, file)
        (state,) = database.execute("pragma quick_check(1)").fetchone()  # pages that stand in it twice have no end
    require(state == "ok", f"{file} is damaged: restore it, or name another run_dir")


def _check_schema(schema: list[tuple[str, str, str]], file: Path) -> None:
    """Raises a UserError where a database has more than plain tables and their indexes."""
    kinds = {kind for kind, _, _ in schema}
    require(kinds <= {"table", "index"}, f"{file} is no study: it has {few(sorted(kinds - {'table', 'index'}))}")
    computed = [
        name
        for _, name, text in schema
        if text.count("(") != len(BRACKET.findall(text)) or not PLAIN.fullmatch(text) or COMPUTED.search(text)
    ]
    require(not computed, f"{file} is no study: {few(computed)} has columns or indexes that are computed")


def _end_of(file: Path) -> bytes:
    """The last bytes of a file; none where there is none."""
    if not file.exists():
        return b""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - len(JOURNAL_END)))
        return stream.read()

"""Images and recordings in the cells of a table: bytes, texts that hold images, or paths as people write them."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from os.path import exists
from pathlib import Path
from typing import Any

from mla_train.data.file_kinds import IMAGES, FileKind
from mla_train.data.tables.cells import is_empty
from mla_train.errors import UserError

ADDRESS = re.compile(r"\s*(?!file:)([a-z][a-z0-9+.-]+://|//|www\.)", re.IGNORECASE)
CODED = re.compile(
    r"\s*data:image/[\w.+-]+;base64,(.*)|\s*((?:iVBORw0KGgo|/9j/|R0lGOD|UklGR|SUkq|TU0A|Qk).*)", re.DOTALL
)
"""Bytes of an image as a text: with a mark, or by the beginnings of usual formats."""
CODED_LENGTH = 80  # a path may begin like such a text, but is no longer with no point in it
SHOWN = 80  # characters


def find_files(
    cells: Sequence[Any],
    origins: Sequence[tuple[str, str]],
    kind: FileKind,
    notes: list[str],
    folders: Mapping[str, Path] | None = None,
) -> tuple[list[Any], list[str]]:
    """The images or recordings of a column, and what is shown of each cell beside the name of its row.

    Args:
        cells: Cells of the column.
        origins: File of each row, and the place of the row there.
        kind: Kind of the files.
        notes: Lines for the user: paths that are written otherwise than the files.
        folders: Folder that the paths of each file are relative to; None is the folder of the file.

    Returns:
        Bytes, files that lie in that folder, or None for empty cells; and a short text for each.

    Raises:
        UserError: A cell is no such file, a web address, or a path outside of the folder or of several files.
    """
    files, shown, coded = [], [], 0
    finders: dict[str, FileFinder] = {}
    for cell, (file, place) in zip(cells, origins, strict=True):
        name = f"{file} {place}"
        if file not in finders:
            finders[file] = FileFinder(folders[file] if folders else Path(file).parent, kind)
        value = content_of(cell)
        files.append(finders[file].read(cell, name))
        is_coded = isinstance(value, str) and isinstance(files[-1], bytes)
        coded += is_coded
        shown.append(_short(value) if isinstance(value, str) and not is_coded and not is_empty(value) else "")
    if coded:
        notes.append(f"{coded:,} images are texts in base64, which are decoded")
    for file, finder in finders.items():
        if finder.others:
            written, actual = finder.others[0]
            notes.append(
                f"{file}: {len(finder.others):,} paths of {kind.name}s are written otherwise than the files, such as {written!r} "
                f"for {actual}"
            )
    return files, shown


def content_of(cell: Any) -> Any:
    """Bytes or path of a cell, also where it is an object, as data sets of the hub keep files."""
    return (cell.get("bytes") or cell.get("path")) if isinstance(cell, Mapping) else cell


class FileFinder:
    """Finds the files that paths name, relative to a folder, also where blanks, signs, case or the ending differ.

    Args:
        folder: The folder, outside of which no file is read.
        kind: Kind of the files.

    Attributes:
        others: Paths that are written otherwise than the file that was found.
    """

    def __init__(self, folder: Path, kind: FileKind) -> None:
        self.folder, self.kind = folder.resolve(), kind
        self.others: list[tuple[str, Path]] = []
        self.listed: dict[Path, dict[str, list[str]]] = {}

    def read(self, cell: Any, name: str) -> Path | bytes | None:
        """The file that a cell names, or the bytes that it holds; None where it is empty.

        Args:
            cell: Cell of a table.
            name: Where it stands, for messages.

        Raises:
            UserError: See `find_files`.
        """
        value = content_of(cell)
        if is_empty(value):
            return None
        if isinstance(value, str):
            content = _decoded(value) if self.kind is IMAGES else None
            return content or self.find(value, name)
        if not isinstance(value, bytes):
            raise UserError(
                f"{name}: the {self.kind.name} is no path but {type(value).__name__}: write the path of a file, or name another "
                f"column with data.{self.kind.input}_column="
            )
        return value

    def find(self, path: str, name: str) -> Path:
        """The file, links followed, which must lie in the folder; where there is none, the one that was meant."""
        if ADDRESS.match(path):
            raise UserError(
                f"{name}: the {self.kind.name} {_short(path)} is an address on the web: fetch the files, and write paths relative to "
                "the table"
            )
        file = self._inside(path, name)
        if exists(file):
            return file
        plain = path.strip().strip("\"'").strip()
        parts = self._inside(plain if "/" in plain else plain.replace("\\", "/"), name).relative_to(self.folder).parts
        actual = self._spelled(parts, name)
        if actual is None:
            return file
        self.others.append((_short(path), actual.relative_to(self.folder)))
        return actual

    def _inside(self, path: str, name: str) -> Path:
        try:
            file = (self.folder / path).resolve()
        except (OSError, RuntimeError, ValueError):  # links in a circle, signs that no path can have
            return self.folder / "unreadable path"
        if not file.is_relative_to(self.folder):
            raise UserError(
                f"{name}: the {self.kind.name} {_short(path)} lies outside the folder of the table, {self.folder}; only files "
                "inside are read: put it there"
            )
        return file

    def _spelled(self, parts: Sequence[str], name: str) -> Path | None:
        """The file of these folders and this name, whatever their case; the ending may be left out."""
        here = self.folder
        for place, part in enumerate(parts):
            if exists(here / part):
                here /= part
                continue
            names = self._names(here)
            matches = names.get(part.casefold(), [])
            if not matches and place == len(parts) - 1:
                matches = [each for ending in self.kind.endings() for each in names.get(part.casefold() + ending, [])]
            if len(matches) > 1:
                raise UserError(
                    f"{name}: the {self.kind.name} {_short('/'.join(parts))} may be {' or '.join(sorted(matches)[:3])}: write the name "
                    "of the file as it is"
                )
            if not matches:
                return None
            here /= matches[0]
        return here if parts else None

    def _names(self, folder: Path) -> dict[str, list[str]]:
        """Names of the files of a folder, by the same without regard to case."""
        if folder not in self.listed:
            names: dict[str, list[str]] = {}
            for each in folder.iterdir() if folder.is_dir() else ():
                names.setdefault(each.name.casefold(), []).append(each.name)
            self.listed[folder] = names
        return self.listed[folder]


def _decoded(text: str) -> bytes | None:
    """The bytes that a text holds in base64; None where it is no such text."""
    match = CODED.fullmatch(text)
    if match is None or (match[1] is None and (len(text) < CODED_LENGTH or "." in text)):
        return None
    try:
        return base64.b64decode(re.sub(r"\s", "", match[1] or match[2]), validate=True)
    except (binascii.Error, ValueError):
        return None


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."

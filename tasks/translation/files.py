"""Sentence pairs in files of one's own, in folders of the usual shape, or on the Hugging Face hub."""

from pathlib import Path
from typing import Any

from mla_train.data.rows import OPENERS, Rows, find_parts, read_rows
from mla_train.data.splits import PART_NAMES
from mla_train.data.tables import read_tables, report_broken
from mla_train.errors import UserError
from tasks.translation.config import PairFilesDataConfig
from tasks.translation.data import PairData, PairSplit, clean

Place = Path | tuple[Path, Path]
"""A table, or two text files that are aligned line by line."""


class PairFilesData(PairData):
    """Tables with a source and a target in each row, or text files that are aligned line by line."""

    def setup(self) -> None:
        """Reads all parts; missing val or test parts are cut from train, and said so.

        Raises:
            UserError: A file or column is not there, a row is broken, or aligned files differ in length.
        """
        options = self.config.data
        assert isinstance(options, PairFilesDataConfig)
        places = _places(options)
        if places:
            tables = {part: read_rows(place) for part, place in places.items() if isinstance(place, Path)}
        else:
            tables = read_tables(options, "sentence pairs")
        self.notes += report_broken(tables, options.on_error)
        parts = {part: _columns(table, options) for part, table in tables.items()}
        parts |= {part: _read_aligned(*place) for part, place in places.items() if isinstance(place, tuple)}
        if options.root is not None and "test" in places:
            shown = places["test"] if isinstance(places["test"], Path) else " and ".join(map(str, places["test"]))
            self.notes.append(f"the test part is {shown}; data.test= chooses another")
        parts = self.without_waste({part: parts[part] for part in PART_NAMES if part in parts})
        for part, share in (("test", options.test_share), ("val", options.val_share)):
            if part not in parts:
                before = len(parts["train"])
                parts["train"], parts[part] = self.cut(parts["train"], share)
                self.notes.append(
                    f"no {part} part is given: cut {len(parts[part]):,} of {before:,} training pairs off for it "
                    f"(data.split_seed={options.split_seed})"
                )
        self.finish(parts)


def _places(options: PairFilesDataConfig) -> dict[str, Place]:
    """Where the parts are; what is named counts before what lies in the folder. Empty where a hub set is meant."""
    found: dict[str, Place] = {}
    if options.root is not None:
        root = Path(options.root)
        found |= _aligned_in(root, (options.source_column, options.target_column)) or _tables_in(root)
    for part in PART_NAMES:
        files = getattr(options, part)
        if isinstance(files, list):
            found[part] = (Path(files[0]), Path(files[1]))
        elif files is not None:
            found[part] = Path(files)
    if found and "train" not in found:
        raise UserError("data.train is missing: name the training file, or the two")
    for part, place in found.items():
        if isinstance(place, Path) and place.is_dir():
            raise UserError(f"data.{part}={place} is a folder: data.root={place} reads the files in it")
    return found


def _tables_in(root: Path) -> dict[str, Place]:
    try:
        return dict(find_parts(root))
    except UserError as error:
        texts = sorted(file.suffix[1:] for file in root.glob("train.*")) if root.is_dir() else []
        if len(texts) < 2:
            raise
        raise UserError(
            f"{error}. If train.{texts[0]} and train.{texts[1]} are aligned texts, say which is which: "
            f"data.source_column={texts[0]} data.target_column={texts[1]}"
        ) from error


def _aligned_in(root: Path, sides: tuple[str, str]) -> dict[str, Place]:
    """Pairs such as train.en and train.de; of several test parts, such as test_2016.en, the first."""
    found: dict[str, Place] = {}
    for part, names in PART_NAMES.items():
        stems = [
            *names,
            *(sorted({file.name.split(".")[0] for file in root.glob("test[_-]*")}) if part == "test" else []),
        ]
        for stem in stems:
            files = [
                next((f for ending in ("", *OPENERS) if (f := root / f"{stem}.{side}{ending}").is_file()), None)
                for side in sides
            ]
            if files[0] is not None and files[1] is not None:
                found.setdefault(part, (files[0], files[1]))
    return found if "train" in found else {}


def _read_aligned(source: Path, target: Path) -> PairSplit:
    sides = [_lines(source), _lines(target)]
    if len(sides[0]) != len(sides[1]):
        longer, shorter = (source, target) if len(sides[0]) > len(sides[1]) else (target, source)
        count = min(map(len, sides))
        raise UserError(
            f"{source} has {len(sides[0]):,} lines, {target} {len(sides[1]):,}: line {count + 1} of {longer} has no "
            f"partner in {shorter}"
        )
    return PairSplit(sides[0], sides[1])


def _lines(file: Path) -> list[str]:
    opener: Any = OPENERS.get(file.suffix, open)
    try:
        with opener(file, "rb") as stream:
            content = stream.read()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{file} is not UTF-8 (line {line}); save it in that encoding") from error
    # Only real line ends: str.splitlines would also cut at signs that stand inside sentences.
    return [clean(line) for line in text.removesuffix("\n").split("\n")]


def _columns(table: Rows, options: PairFilesDataConfig) -> PairSplit:
    names = {"data.source_column": options.source_column, "data.target_column": options.target_column}
    rows = table.rows
    columns = table.columns
    if "translation" in columns and all(isinstance(row.get("translation"), dict) for row in rows):
        # Sets on the hub often hold {"translation": {"en": ..., "de": ...}}.
        rows = [row["translation"] for row in rows]
        columns = list(rows[0]) if rows else []
    sides = []
    for option, name in names.items():
        if name not in columns:
            raise UserError(
                f"{table.file} has no column {name}; there are {', '.join(columns)}. Name the one with {option}="
            )
        cells = [row.get(name) for row in rows]
        odd = next((i for i, cell in enumerate(cells) if isinstance(cell, list | dict)), None)
        if odd is not None:
            raise UserError(
                f"{table.file}: column {name} holds no text but a {type(cells[odd]).__name__} (row {odd + 1})"
            )
        sides.append(["" if cell is None else clean(str(cell)) for cell in cells])
    return PairSplit(sides[0], sides[1])

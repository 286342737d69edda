"""Sentence pairs in tables, in text files that are aligned line by line, or on the Hugging Face hub."""

from pathlib import Path
from typing import Any

from mla_train.data.examples import Examples, RawData
from mla_train.data.readers import find_column, is_empty
from mla_train.data.rows import OPENERS, Rows, find_parts, read_rows
from mla_train.data.splits import PART_NAMES
from mla_train.data.tables import read_tables, report_broken
from mla_train.errors import UserError
from tasks.translation.config import PairFilesConfig

Location = Path | tuple[Path, Path]
"""A table, or two text files that are aligned line by line."""
Pairs = list[tuple[Any, Any]]


def read_pair_files(options: PairFilesConfig) -> RawData:
    """Tables with a source and its translation in each row, or text files that are aligned line by line.

    Raises:
        UserError: A file or column does not exist, a row is broken, or aligned files differ in length.
    """
    files = _locate(options)
    if files:
        tables = {split: read_rows(file) for split, file in files.items() if isinstance(file, Path)}
    else:
        tables = read_tables(options, "sentence pairs")
    notes = report_broken(tables, options.on_error)
    pairs = {split: _table_pairs(table, options) for split, table in tables.items()}
    pairs |= {split: _aligned_pairs(*file) for split, file in files.items() if isinstance(file, tuple)}
    if options.root is not None and "test" in files:
        shown = files["test"] if isinstance(files["test"], Path) else " and ".join(map(str, files["test"]))
        notes.append(f"the test split is {shown}; data.test= chooses another")
    return RawData({split: _complete(split, pairs[split], notes) for split in PART_NAMES if split in pairs}, notes)


def _complete(split: str, pairs: Pairs, notes: list[str]) -> Examples:
    """The pairs of which no side is empty."""
    complete = [pair for pair in pairs if not any(map(is_empty, pair))]
    if len(complete) < len(pairs):
        notes.append(f"left out {len(pairs) - len(complete):,} pairs of {split} with an empty side")
    if not complete:
        raise UserError(f"{split} has no pair of sentences: each row needs a source and its translation")
    sources, targets = zip(*complete, strict=True)
    return Examples({"source": sources}, targets)


def _locate(options: PairFilesConfig) -> dict[str, Location]:
    """Files of the splits; those that are named come before those of the folder. Empty where a hub data set is meant."""
    files: dict[str, Location] = {}
    if options.root is not None:
        root = Path(options.root)
        files |= _aligned_in(root, (options.source_column, options.target_column)) or _tables_in(root)
    for split in PART_NAMES:
        named: Any = getattr(options, split)
        if named is not None:
            files[split] = Path(named) if isinstance(named, str) else (Path(named[0]), Path(named[1]))
    if files and "train" not in files:
        raise UserError("data.train is missing: name the training file, or the two")
    for split, file in files.items():
        if isinstance(file, Path) and file.is_dir():
            raise UserError(f"data.{split}={file} is a folder: data.root={file} reads the files in it")
    return files


def _tables_in(root: Path) -> dict[str, Path]:
    try:
        return find_parts(root)
    except UserError as error:
        texts = sorted(file.suffix[1:] for file in root.glob("train.*")) if root.is_dir() else []
        if len(texts) < 2:
            raise
        raise UserError(
            f"{error}. If train.{texts[0]} and train.{texts[1]} are aligned texts, say which is which: "
            f"data.source_column={texts[0]} data.target_column={texts[1]}"
        ) from error


def _aligned_in(root: Path, sides: tuple[str, str]) -> dict[str, Location]:
    """Pairs such as train.en and train.de; of several test files, such as test_2016.en, the first."""
    pairs: dict[str, Location] = {}
    for split, names in PART_NAMES.items():
        others = {file.name.split(".")[0] for file in root.glob("test[_-]*")} if split == "test" else ()
        for stem in (*names, *sorted(others)):
            files = [[root / f"{stem}.{side}{ending}" for ending in ("", *OPENERS)] for side in sides]
            source, target = (next((file for file in choices if file.is_file()), None) for choices in files)
            if source is not None and target is not None:
                pairs.setdefault(split, (source, target))
    return pairs if "train" in pairs else {}


def _aligned_pairs(source: Path, target: Path) -> Pairs:
    sides = _lines(source), _lines(target)
    counts = len(sides[0]), len(sides[1])
    if counts[0] != counts[1]:
        longer, shorter = (source, target) if counts[0] > counts[1] else (target, source)
        raise UserError(
            f"{source} has {counts[0]:,} lines, {target} {counts[1]:,}: line {min(counts) + 1} of {longer} has no partner in "
            f"{shorter}"
        )
    return list(zip(*sides, strict=True))


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
    return text.removesuffix("\n").split("\n")


def _table_pairs(table: Rows, options: PairFilesConfig) -> Pairs:
    if "translation" in table.columns and all(isinstance(row.get("translation"), dict) for row in table.rows):
        # Sets on the hub often hold {"translation": {"en": ..., "de": ...}}.
        rows = [row["translation"] for row in table.rows]
        table = Rows(table.file, list(rows[0]) if rows else [], rows)
    sides = []
    for option in ("source_column", "target_column"):
        name = find_column(table, getattr(options, option), (), f"data.{option}")
        sides.append(table.column(name))
        odd = next((i for i, cell in enumerate(sides[-1]) if isinstance(cell, list | dict)), None)
        if odd is not None:
            kind = type(sides[-1][odd]).__name__
            raise UserError(f"{table.file}: column {name} holds no text but a {kind} (row {odd + 1})")
    return list(zip(*sides, strict=True))

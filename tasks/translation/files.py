"""Sentence pairs in tables, in text files that are aligned line by line, or on the Hugging Face hub."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mla_train.data.examples import Examples, RawData
from mla_train.data.readers import find_column, read_texts, with_target_texts
from mla_train.data.rows import RowName, note_unused, refuse_row_options, row_keys, row_names
from mla_train.data.splits import PART_NAMES
from mla_train.data.tables.cells import is_empty
from mla_train.data.tables.source import OPENERS, OTHER_ENCODING, format_of, is_undecoded, read_lines
from mla_train.data.tables.splits import find_parts, named_files, read_tables, report_broken, split_by_column
from mla_train.data.tables.table import Table, concatenate, read_table
from mla_train.errors import UserError
from tasks.translation.config import PairFilesConfig
from tasks.translation.noise import describe, find_noise

Location = list[Path] | tuple[Path, Path]
"""Files of a table, or two text files that are aligned line by line."""


def read_pair_files(options: PairFilesConfig) -> RawData:
    """Tables with a source and its translation in each row, or text files that are aligned line by line.

    Raises:
        UserError: A file or column does not exist, a row is broken, or aligned files differ in length.
    """
    links: list[str] = []
    files = _locate(options, links)
    if files:
        named = {split: those for split, those in files.items() if isinstance(those, list)}
        tables = {
            s: concatenate([read_table(f, options) for f in those], str(those[0].parent)) for s, those in named.items()
        }
        if isinstance(files["train"], tuple):
            refuse_row_options(options, "aligned text files")
        else:
            tables = split_by_column(tables, options)
    else:
        tables = read_tables(options, "sentence pairs")
    notes = [*links, *report_broken(tables, options.on_error)]
    pairs = {split: _table_pairs(table, split, options, notes) for split, table in tables.items()}
    pairs |= {
        split: _aligned_pairs(*file, options.encoding) for split, file in files.items() if isinstance(file, tuple)
    }
    if options.root is not None and "test" in files:
        shown = " and ".join(map(str, files["test"]))
        notes.append(f"the test split is {shown}; data.test= chooses another")
    splits = {split: _complete(split, pairs[split], notes) for split in PART_NAMES if split in pairs}
    return RawData({split: _without_noise(split, part, options, notes) for split, part in splits.items()}, notes)


def _without_noise(split: str, part: Examples, options: PairFilesConfig, notes: list[str]) -> Examples:
    """Counts pairs that are likely no translations, and leaves those of train out that the options name."""
    sources, targets = ([str(text) for text in side] for side in (part.inputs["source"], part.targets))
    noise = find_noise(sources, targets)
    if description := describe(noise):
        kinds = ",".join(kind.value for kind, places in noise.items() if places.any())
        notes.append(
            f"of {len(sources):,} pairs of {split}, {description} (data.drop=[{kinds}] leaves those of train out)"
        )
    dropped = np.any([noise[kind] for kind in options.drop], axis=0) if options.drop else np.zeros(len(sources), bool)
    if split != "train" or not dropped.any():
        return part
    if dropped.all():
        raise UserError(f"data.drop={[kind.value for kind in options.drop]} leaves no training pair")
    notes.append(f"left out {dropped.sum():,} pairs of train (data.drop)")
    kept = np.flatnonzero(~dropped)
    return part.select(kept)


def _complete(split: str, pairs: Examples, notes: list[str]) -> Examples:
    """The pairs of which no side is empty."""
    sides = zip(pairs.inputs["source"], pairs.targets, strict=True)
    complete = np.array([place for place, pair in enumerate(sides) if not any(map(is_empty, pair))], dtype=int)
    if len(complete) < len(pairs.targets):
        notes.append(f"left out {len(pairs.targets) - len(complete):,} pairs of {split} with an empty side")
    if not len(complete):
        raise UserError(f"{split} has no pair of sentences: each row needs a source and its translation")
    return pairs.select(complete)


def _locate(options: PairFilesConfig, notes: list[str]) -> dict[str, Location]:
    """Files of the splits; those that are named come before those of the folder. Empty where a hub data set is meant."""
    files: dict[str, Location] = {}
    if options.root is not None:
        root = Path(options.root)
        files |= _aligned_in(root, (options.source_column, options.target_column)) or _tables_in(root)
    for split in PART_NAMES:
        named: Any = getattr(options, split)
        if named is not None:
            files[split] = _named(named, split, notes)
    if files and "train" not in files:
        raise UserError("data.train is missing: name the training file, or the two")
    return files


def _named(named: str | list[str], split: str, notes: list[str]) -> Location:
    """Files that an option names: two text files are aligned, others are tables of pairs."""
    texts = [] if isinstance(named, str) else [Path(file) for file in named if format_of(Path(file)) in (None, "txt")]
    if len(texts) == len(named) == 2:
        return texts[0], texts[1]
    if any(not text.is_dir() and "*" not in text.name for text in texts):
        raise UserError(
            f"data.{split}={named}: name two aligned text files, data.{split}=[SOURCES,TARGETS], or tables with a source and "
            "its translation in each row"
        )
    return named_files(named, split, notes)


def _tables_in(root: Path) -> dict[str, list[Path]]:
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


def _aligned_pairs(source: Path, target: Path, encoding: str | None) -> Examples:
    for file in (source, target):
        if not file.is_file():
            raise UserError(f"{file}: there is no such file ({file.resolve()})")
    sides = _lines(source, encoding), _lines(target, encoding)
    counts = len(sides[0]), len(sides[1])
    if counts[0] != counts[1]:
        longer, shorter = (source, target) if counts[0] > counts[1] else (target, source)
        raise UserError(
            f"{source} has {counts[0]:,} lines, {target} {counts[1]:,}: line {min(counts) + 1} of {longer} has no partner in "
            f"{shorter}"
        )
    names = [RowName(str(source), f"line {number}") for number in range(1, counts[0] + 1)]
    return Examples({"source": sides[0]}, sides[1], names)


def _lines(file: Path, encoding: str | None) -> list[str]:
    lines = [line.rstrip("\r\n") for line in read_lines(str(file), str(file), encoding)]
    odd = next((number for number, line in enumerate(lines, 1) if is_undecoded(line)), None)
    if odd is not None:
        raise UserError(f"{file} line {odd} {OTHER_ENCODING}")
    return lines


def _table_pairs(table: Table, split: str, options: PairFilesConfig, notes: list[str]) -> Examples:
    names, keys = row_names(table, options, notes), row_keys(table, options)
    nested = table.cells.get("translation", [None])
    if all(
        isinstance(cell, dict) for cell in nested
    ):  # sets on the hub often hold {"translation": {"en": ..., "de": ...}}
        languages = dict.fromkeys(language for cell in nested for language in cell)
        table = replace(table, cells={language: [cell.get(language) for cell in nested] for language in languages})
    columns = [
        find_column(table, getattr(options, option), (), f"data.{option}")
        for option in ("source_column", "target_column")
    ]
    if split == "train":
        note_unused(table, columns, options, notes)
    where = f"{table.file} column {columns[0]}"
    sources = read_texts(table.column(columns[0]), where, table.places, notes, options)
    return with_target_texts(Examples({"source": sources}, [], names, **keys), table, columns[1], notes, options)

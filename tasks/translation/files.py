"""Sentence pairs in files of one's own, in folders of the usual shape, or on the Hugging Face hub."""

from pathlib import Path
from typing import Any

from mla_train.data.rows import OPENERS, Rows
from mla_train.data.splits import PART_NAMES
from mla_train.data.tables import read_tables, report_broken
from mla_train.errors import UserError
from tasks.translation.config import PairFilesDataConfig
from tasks.translation.data import PairData, PairSplit, clean


class PairFilesData(PairData):
    """Tables with a source and a target in each row, or text files that are aligned line by line."""

    def setup(self) -> None:
        """Reads all parts; missing val or test parts are cut from train, and said so.

        Raises:
            UserError: A file or column is not there, a row is broken, or aligned files differ in length.
        """
        options = self.config.data
        assert isinstance(options, PairFilesDataConfig)
        aligned = _aligned_files(options)
        if aligned:
            parts = {part: PairSplit(*_read_aligned(*files)) for part, files in aligned.items()}
        else:
            tables = read_tables(options, "sentence pairs")
            self.notes += report_broken(tables, options.on_error)
            if options.root is not None and "test" in tables:
                self.notes.append(f"the test part is {tables['test'].file}; data.test=FILE chooses another")
            parts = {part: _columns(table, options) for part, table in tables.items()}
        parts = self.without_waste(parts)
        for part, share in (("test", options.test_share), ("val", options.val_share)):
            if part not in parts:
                before = len(parts["train"])
                parts["train"], parts[part] = self.cut(parts["train"], share)
                self.notes.append(
                    f"no {part} part is given: cut {len(parts[part]):,} of {before:,} training pairs off for it "
                    f"(data.split_seed={options.split_seed})"
                )
        self.finish(parts)


def _aligned_files(options: PairFilesDataConfig) -> dict[str, tuple[Path, Path]]:
    """Pairs of text files that the options name or that lie in the folder; empty where there are tables instead."""
    if options.root is None:
        named = {part: getattr(options, part) for part in PART_NAMES}
        lists = {part: (Path(files[0]), Path(files[1])) for part, files in named.items() if isinstance(files, list)}
        if lists and any(isinstance(files, str) for files in named.values()):
            raise UserError("data.train, data.val and data.test must all be tables or all be pairs of text files")
        if lists and "train" not in lists:
            raise UserError("data.train is missing: name the two training files")
        return lists
    columns = (options.source_column, options.target_column)
    found: dict[str, tuple[Path, Path]] = {}
    for part, names in PART_NAMES.items():
        for name in names:
            sides = [sorted(Path(options.root).glob(f"{name}.{side}*")) for side in columns]
            if all(sides):
                found.setdefault(part, (sides[0][0], sides[1][0]))
    return found if "train" in found else {}


def _read_aligned(source: Path, target: Path) -> tuple[list[str], list[str]]:
    sides = [_lines(source), _lines(target)]
    if len(sides[0]) != len(sides[1]):
        longer, shorter = (source, target) if len(sides[0]) > len(sides[1]) else (target, source)
        count = min(map(len, sides))
        raise UserError(
            f"{source} has {len(sides[0]):,} lines, {target} {len(sides[1]):,}: line {count + 1} of {longer} has no "
            f"partner in {shorter}"
        )
    return sides[0], sides[1]


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
    sides = []
    for option, name in names.items():
        if name not in table.columns:
            there = ", ".join(table.columns)
            raise UserError(f"{table.file} has no column {name}; there are {there}. Name the one with {option}=")
        sides.append(["" if cell is None else clean(str(cell)) for cell in table.column(name)])
    return PairSplit(sides[0], sides[1])

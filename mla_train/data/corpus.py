"""Texts without labels, in plain text files or tables."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from mla_train.config import CorpusOptions, Documents, TableOptions
from mla_train.data.examples import Examples, RawData
from mla_train.data.packed import UNREADABLE
from mla_train.data.readers import INPUT_NAMES, find_column, read_texts
from mla_train.data.rows import refuse_row_options
from mla_train.data.splits import PART_NAMES
from mla_train.data.tables import open_source
from mla_train.data.tables.first_bytes import FIRST, fault_of
from mla_train.data.tables.source import OTHER_ENCODING, format_of, is_undecoded, open_bytes, read_lines
from mla_train.data.tables.splits import named_files, read_tables, report_broken, unread_of
from mla_train.data.tables.table import Table, collect
from mla_train.data.text_store import TextStore
from mla_train.data.texts import join_texts
from mla_train.errors import UserError

FEWEST = 10  # texts of which some can be cut off for val and test
LONGEST = 100_000_000  # characters of a text, which is in memory as a whole when it is read
EVALUATED_BYTES, EVALUATED_TEXTS = 5_000_000, 1000
"""What is cut off for val, and for test, of a large corpus, unless the user names a share: so many bytes, or texts if more."""
SECOND = re.compile(r" \(\d+\)$")
"""What `numbered` puts behind a name that occurs again."""


def read_corpus(options: CorpusOptions) -> RawData:
    """Texts of plain text files (.txt), or of a column of tables.

    Raises:
        UserError: A file or column does not exist, or there is no text.
    """
    links: list[str] = []
    chosen: dict[str, str] = {}
    files = {split: named_files(value, split, links) for split in PART_NAMES if (value := getattr(options, split))}
    plain = {split: [file for file in those if format_of(file) in (None, "txt")] for split, those in files.items()}
    notes: list[str] = []
    if any(plain.values()):
        refuse_row_options(options, "plain text files")
        notes = links  # those of tables are noted where these are read
        mixed = next((split for split in files if plain[split] != files[split]), None)
        if mixed:
            raise UserError(f"data.{mixed}={getattr(options, mixed)}: name plain text files or tables, not both")
        if "train" not in files:
            raise UserError("data.train is missing: name the training file")
        notes += unread_of(options)
        texts = {
            split: TextStore(text for file in those for text in _documents(file, options))
            for split, those in files.items()
        }
    else:
        tables = read_tables(options, "texts", partial(_read_table, options=options))
        notes = report_broken(tables, options.on_error)
        columns = {split: _columns(table, options) for split, table in tables.items()}
        chosen = {"text": columns["train"][0]} if len(columns["train"]) == 1 else {}
        # Each table goes when its texts are read.
        texts = {split: _texts(tables.pop(split), columns[split], options, notes) for split in list(tables)}
    for split, those in texts.items():
        if not any(text and text.strip() for text in those):
            raise UserError(f"data.{split} has no text")
    count, lacking = len(texts["train"]), [split for split in ("val", "test") if split not in texts]
    if lacking and count < FEWEST:
        raise UserError(
            f"data.train has {count} text{'s' * (count > 1)}, too few to cut {' and '.join(lacking)} from: write a text a line "
            f"(data.documents is {options.documents.value}), or name {' and '.join(f'data.{split}=FILE' for split in lacking)}"
        )
    splits = {split: Examples({"text": those}, [None] * len(those)) for split, those in texts.items()}
    size = texts["train"].size
    most = max(EVALUATED_BYTES / size, EVALUATED_TEXTS / count)
    return RawData(splits, notes, columns=chosen, most_share=min(most, 1.0))


def _documents(file: Path, options: CorpusOptions) -> Iterator[str]:
    """The texts of a plain text file as they stand there, without empty ones and the ends of lines behind a text."""
    try:
        with open_bytes(str(file)) as stream:
            fault = fault_of(stream.read(FIRST), "text")
    except UNREADABLE as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    if fault:
        raise UserError(f"{file} is {fault}")
    lines: list[str] = []
    characters = 0
    for number, line in enumerate(read_lines(str(file), str(file), options.encoding, newline="", most=LONGEST), 1):
        characters = characters + len(line) if lines else len(line)
        if characters > LONGEST:
            raise UserError(
                f"{file} line {number}: a text of more than {LONGEST:,} characters (data.documents={options.documents.value}); "
                "use data.documents=line or paragraph, or write shorter texts"
            )
        if is_undecoded(line):
            raise UserError(f"{file} line {number} {OTHER_ENCODING}")
        if "\0" in line:
            raise UserError(
                f"{file} is no text: it has zero bytes. Name a text file, or its encoding with data.encoding="
            )
        if options.documents is Documents.file or (options.documents is Documents.paragraph and line.strip()):
            lines.append(line)
            continue
        if options.documents is Documents.line:
            lines.append(line)
        if (text := "".join(lines)).strip():
            yield text.rstrip("\r\n")
        lines = []
    if (text := "".join(lines)).strip():
        yield text if options.documents is Documents.file else text.rstrip("\r\n")


def _columns(table: Table, options: CorpusOptions) -> list[str]:
    """Columns of the texts."""
    asked = options.text_column if isinstance(options.text_column, list) else [options.text_column]
    return [find_column(table, each, INPUT_NAMES["text"], "data.text_column") for each in asked]


def _texts(table: Table, columns: list[str], options: CorpusOptions, notes: list[str]) -> TextStore:
    """The texts of a table, those of several columns as one."""
    parts = [
        read_texts(table.column(each), f"{table.file} column {each}", table.places, notes, options, TextStore)
        for each in columns
    ]
    return (
        parts[0] if len(parts) == 1 else TextStore(join_texts(row, options.texts) for row in zip(*parts, strict=True))
    )


def _read_table(file: Path, _: TableOptions, options: CorpusOptions) -> Table:
    """A table whose texts may be more than the memory holds, without columns that neither are texts nor tell splits.

    Where it has no column of texts, all are read, for the message.
    """
    source = open_source(file, options=options)
    asked = options.text_column if isinstance(options.text_column, list) else [options.text_column]

    def named(names: Iterable[str | None]) -> set[str]:
        known = {str(name).strip().lower() for name in names}
        return {name for name in source.columns if SECOND.sub("", name.strip().lower()) in known}

    texts = named(INPUT_NAMES["text"] if None in asked else asked)
    if not texts:
        return collect(source)
    needed = texts | named(["split", options.split_column])
    rows = (
        row._replace(cells={name: cell for name, cell in row.cells.items() if name in needed}) for row in source.rows
    )
    columns = [name for name in source.columns if name in needed]
    return collect(replace(source, columns=columns, rows=rows), TextStore)

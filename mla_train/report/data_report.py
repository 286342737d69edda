"""data_report.html: what was read, and what the checks of the data say of it."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mla_train.checks import Check, problems_of
from mla_train.data.splits import SPLITS
from mla_train.dataset import Dataset
from mla_train.escaping import spreadsheet_cell
from mla_train.report.examples import lines, small_image
from mla_train.report.page import data_uri, render
from mla_train.report.tables import Cell, Table, value_cell
from mla_train.safe_files import atomic_path, write_atomically

DATA_REPORT = "data_report.html"
MOST_BYTES = 500_000  # of small images


def write_data_report(file: Path, title: str, data: Dataset, checks: Sequence[Check]) -> None:
    """Writes the page."""
    room = [MOST_BYTES]
    html = render(
        "data_report",
        title,
        problems=problems_of(checks),
        counts={split: f"{data.count(split):,} examples" for split in SPLITS},
        notes=data.notes,
        checks=[
            {
                "title": check.title,
                "note": check.note,
                "numbers": table_of(check.rows, room) if check.rows else None,
                "examples": table_of(check.examples, room) if check.examples else None,
            }
            for check in checks
        ],
    )
    write_atomically(file, html)


def write_listings(folder: Path, checks: Sequence[Check]) -> tuple[list[Path], list[Path]]:
    """Writes NAME.csv for each check that lists examples; returns the files, and those of earlier checks that now list none."""
    files, old = [], []
    for check in checks:
        file = folder / f"{check.name}.csv"
        if not check.listing:
            old += [file] * file.exists()
            continue
        with (
            atomic_path(file) as part,
            part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
        ):
            writer = csv.DictWriter(stream, list(check.listing[0]))
            writer.writeheader()
            writer.writerows({key: spreadsheet_cell(value) for key, value in row.items()} for row in check.listing)
        files.append(file)
    return files, old


def table_of(rows: Sequence[Mapping[str, Any]], room: list[int]) -> Table:
    """A table with a column for each key; small images as long as there is room for so many bytes."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return Table(
        [column.replace("_", " ") for column in columns],
        [[_cell(row.get(column), room) for column in columns] for row in rows],
    )


def _cell(value: Any, room: list[int]) -> Cell:
    if not isinstance(value, Tensor | np.ndarray):
        return value_cell(value)
    is_image = isinstance(value, Tensor) and value.dim() == 3
    if not is_image and len(value) < 2:
        return value_cell([f"{number:.4g}" for number in np.asarray(value).ravel()[:8]])
    png = small_image(torch.as_tensor(value)) if is_image else lines(np.asarray(value, dtype=float).T[:12])
    room[0] -= len(png)
    return Cell("", image=data_uri(png)) if room[0] >= 0 else Cell("(not drawn)")

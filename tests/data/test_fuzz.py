"""Mutated and hostile files: each is read, or refused by a UserError, in bounded time and memory.

`make fuzz` tries two thousand for each reader; FUZZ=N tries N.
"""

import bz2
import datetime as dt
import gzip
import io
import json
import lzma
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from openpyxl import Workbook
from openpyxl.utils.exceptions import IllegalCharacterError
from PIL import Image

from mla_train.task import build_task
from tests.fuzzing import FUZZ, bounded, chances, mutated
from tests.helpers import config, load

TEXTS = pd.DataFrame(
    {"text": [f"a {'good' if i % 2 else 'bad'} film, number {i}" for i in range(30)], "label": ["bad", "good"] * 15}
)
PAIRS = pd.DataFrame({"source": [f"the {i} cats" for i in range(30)], "target": [f"die {i} Katzen" for i in range(30)]})
SERIES = pd.DataFrame(
    {"date": pd.date_range("2024-01-01", periods=60, freq="h").astype(str), "load": np.arange(60) % 24 + 0.5}
)
PICTURE = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
TEXT_WORDS = ("task=text_classification", "data=text_files", "data.on_error=skip", "data.tfidf_features=50")
READERS = {
    "texts": (TEXT_WORDS, "data.train", TEXTS),
    "pairs": (("task=translation", "data=pair_files", "data.vocab_size=300"), "data.train", PAIRS),
    "series": (("task=forecasting", "data=series_csv", "data.look_back=12", "data.horizon=3"), "data.path", SERIES),
    "resampled series": (
        ("task=forecasting", "data=series_csv", "data.look_back=12", "data.horizon=3", "data.resample=mean"),
        "data.path",
        SERIES,
    ),
}  # fmt: skip
CELLS = (
    None, "", "  ", "nan", "good", "bad", "1", "1.0", "01", "1,001", "1e999", "2024-01-01 00:00:00", "0001-01-01", "12:00", "\0", "\ud800",
    "a" * 70_000, "$_{", "=1", 0, 1, -1, 2**63 - 1, 2**70, 1.5, math.nan, math.inf, -math.inf, 1e308, 5e-324, True, False, b"good", b"\xff\xfe",
    [], ["a", "b"], [[1.0, 2.0]], {}, {"bytes": b"x", "path": None}, dt.date(2024, 1, 1), dt.datetime(2024, 1, 1), dt.datetime(1, 1, 1),
    dt.time(12), dt.timedelta(1), Decimal("1.1"), pd.Timestamp("2024-01-01", tz="Asia/Tokyo"),
)  # fmt: skip


def as_lines(records):
    return "\n".join(json.dumps(each, default=str) for each in records).encode("utf-8", "surrogatepass")


def as_parquet(columns):
    """A parquet file; a column whose cells have no common type is one of bytes."""
    try:
        return written(pyarrow.table(columns))
    except (pyarrow.ArrowException, UnicodeError, OverflowError, ValueError):
        as_bytes = {
            name: [None if cell is None else str(cell).encode("utf-8", "replace") for cell in cells]
            for name, cells in columns.items()
        }
        return written(pyarrow.table(as_bytes))


def written(table):
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue()


def as_xlsx(columns):
    book = Workbook()
    book.active.append(list(columns))
    for row in zip(*columns.values(), strict=True):
        plain = [
            cell if isinstance(cell, int | float | None) or type(cell) is dt.datetime else str(cell) for cell in row
        ]
        try:
            book.active.append(
                [cell.encode("utf-8", "replace").decode() if isinstance(cell, str) else cell for cell in plain]
            )
        except IllegalCharacterError:  # a sheet cannot hold every sign
            continue
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def as_arrays(columns):
    stream = io.BytesIO()
    np.savez(stream, **{name: np.array([str(cell) for cell in cells]) for name, cells in columns.items()})
    return stream.getvalue()


def lists(frame):
    return {name: frame[name].tolist() for name in frame}


FORMS = {
    "csv": lambda columns: pd.DataFrame(columns, dtype=object).to_csv(index=False).encode("utf-8", "surrogatepass"),
    "tsv": lambda columns: pd.DataFrame(columns, dtype=object).to_csv(index=False, sep="\t").encode("utf-8", "surrogatepass"),
    "jsonl": lambda columns: as_lines(pd.DataFrame(columns, dtype=object).to_dict("records")),
    "json": lambda columns: json.dumps(columns, default=str).encode("utf-8", "surrogatepass"),
    "parquet": as_parquet,
    "xlsx": as_xlsx,
    "npz": as_arrays,
}  # fmt: skip
PACKERS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def hostile_file(frame, chance):
    """A file of a table with hostile cells, mutated bytes, or both, perhaps compressed: its name and its bytes."""
    columns = lists(frame)
    form, packing = chance.choice(list(FORMS)), chance.choice(["", "", *PACKERS])
    how = chance.choice(["cells", "bytes", "both", "packed bytes"])
    if how in ("cells", "both"):
        for _ in range(chance.randint(1, 4)):
            cells, cell = columns[chance.choice(list(columns))], chance.choice(CELLS)
            places = range(len(cells)) if chance.random() < 0.3 else [chance.randrange(len(cells))]
            for place in places:
                cells[place] = cell
    content = FORMS[form](columns)
    if how in ("bytes", "both"):
        content = mutated(content, chance)
    content = PACKERS[packing](content)
    if how == "packed bytes":
        content = mutated(content, chance)
    return f"table.{form}{packing}", content


def check(*words, **paths):
    """Reads and prepares the data: a data set or a UserError, within time and memory.

    Paths are put into the config of the words, which is composed once: that takes longer than to read a small file.
    """
    settings = config("encoder=tiny", *words)
    for name, path in paths.items():
        setattr(settings.data, name, str(path))
    with bounded():
        build_task(settings).load_data()


@pytest.mark.parametrize("reader", READERS)
def test_tables_are_read_or_refused(reader, tmp_path):
    words, option, frame = READERS[reader]
    frame.to_csv(tmp_path / "whole.csv", index=False)
    load("encoder=tiny", *words, f"{option}={tmp_path / 'whole.csv'}")
    for trial, chance in chances(reader, FUZZ):
        name, content = hostile_file(frame, chance)
        path = tmp_path / f"{trial}_{name}"
        path.write_bytes(content)
        check(*words, **{option.removeprefix("data."): path})


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "tif", "bmp", "webp", "dds", "ppm"])
def test_images_are_read_or_refused(ending, tmp_path):
    stream = io.BytesIO()
    PICTURE.convert("RGB").save(stream, {"jpg": "jpeg", "tif": "tiff"}.get(ending, ending))
    for place in range(24):
        file = tmp_path / ("cat" if place % 2 else "dog") / f"{place}.{ending}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(stream.getvalue())
    load("encoder=tiny", "task=image_classification", "data=image_folder", f"data.root={tmp_path}")
    for _, chance in chances(ending, FUZZ // 8):
        file.write_bytes(mutated(stream.getvalue(), chance))
        on_error = chance.choice(["skip", "stop"])
        check("task=image_classification", "data=image_folder", f"data.on_error={on_error}", root=tmp_path)


@pytest.mark.parametrize("ending", ["ts", "tsv", "txt", "csv"])
def test_files_of_series_are_read_or_refused(ending, tmp_path):
    rows = [",".join(f"{math.sin(step + row % 2) + row / 10:.3f}" for step in range(12)) for row in range(24)]
    if ending == "ts":
        lines = [f"{row}:{'ab'[number % 2]}" for number, row in enumerate(rows)]
        text = "\n".join(["@problemName made", "@classLabel true a b", "@data", *lines])
    else:
        sign = {"tsv": "\t", "txt": " ", "csv": ","}[ending]
        head = [f"label,{','.join(f't{step}' for step in range(12))}"] if ending == "csv" else []
        text = "\n".join([*head, *(f"{number % 2}{sign}{row.replace(',', sign)}" for number, row in enumerate(rows))])
    whole = tmp_path / f"whole.{ending}"
    whole.write_text(text)
    load("encoder=tiny", "task=series_classification", "data=series_files", f"data.train={whole}")
    for trial, chance in chances(ending, FUZZ // 4):
        path = tmp_path / f"{trial}.{ending}"
        path.write_bytes(mutated(text.encode(), chance))
        check("task=series_classification", "data=series_files", train=path)

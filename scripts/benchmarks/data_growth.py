"""Time and memory from a file to prepared splits as rows are added: texts, pairs, images, series, events."""

import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow
from PIL import Image
from pyarrow import parquet
from rich.console import Console
from rich.table import Table

PART = 100_000
"""Rows that are made at a time."""
LOAD = "import sys; from benchmarks.data_growth import load; load(sys.argv[1:])"


def texts(chance: np.random.Generator, count: int, first: int, length: int = 16) -> list[str]:
    """Texts of words drawn from fifty thousand, the frequent ones more often."""
    words = np.char.add("w", np.minimum(chance.zipf(1.3, (count, length)), 50_000).astype(str))
    return [" ".join(row) for row in words]


def _texts(chance: np.random.Generator, count: int, first: int) -> dict[str, object]:
    return {"text": texts(chance, count, first), "label": chance.integers(0, 5, count)}


def _pairs(chance: np.random.Generator, count: int, first: int) -> dict[str, object]:
    return {"source": texts(chance, count, first, 12), "target": texts(chance, count, first, 12)}


def _images(chance: np.random.Generator, count: int, first: int) -> dict[str, object]:
    files = []
    for pixels in chance.integers(0, 256, (count, 28, 28), dtype=np.uint8):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "png", compress_level=1)
        files.append(stream.getvalue())
    return {"image": files, "label": chance.integers(0, 10, count)}


def _series(chance: np.random.Generator, count: int, first: int) -> dict[str, object]:
    steps = {f"t{step}": chance.normal(size=count).astype(np.float32) for step in range(100)}
    return {**steps, "label": chance.integers(0, 2, count)}


def _events(chance: np.random.Generator, count: int, first: int) -> dict[str, object]:
    users = (first + np.arange(count)) // 50  # fifty events each
    return {"user": users, "item": np.minimum(chance.zipf(1.2, count), 10_000), "time": first + np.arange(count)}


KINDS: dict[str, tuple[Callable[[np.random.Generator, int, int], dict[str, object]], list[str]]] = {
    "texts": (_texts, ["task=text_classification", "data=text_files", "data.tfidf_features=0", "data.train={file}"]),
    "pairs": (_pairs, ["task=translation", "data=pair_files", "data.train={file}"]),
    "images": (_images, ["task=image_classification", "data=image_table", "data.train={file}"]),
    "series": (_series, ["task=series_classification", "data=series_files", "data.train={file}"]),
    "events": (_events, ["task=recommendation", "data=event_files", "data.path={file}"]),
}
"""What makes rows from a source of chance, their number and that of the first, and the options that read them."""


def write_rows(kind: str, rows: int, file: Path) -> None:
    """A parquet table of made rows."""
    chance, writer = np.random.default_rng(0), None
    for first in range(0, rows, PART):
        part = pyarrow.table(KINDS[kind][0](chance, min(PART, rows - first), first))
        writer = writer or parquet.ParquetWriter(file, part.schema)
        writer.write_table(part)
    assert writer is not None
    writer.close()


def load(words: Sequence[str]) -> None:
    """Prepares data and prints seconds of the processor, on the clock, and peak memory beyond the imports, as JSON.

    Pages of mapped files do not count: the system takes them back.
    """
    from mla_train.config.overrides import compose_overrides
    from mla_train.program import CONF
    from mla_train.task import build_task

    task = build_task(compose_overrides(CONF, [*words, "data.cache=false"]))
    before, peak, over = _own_memory(), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], _own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, used = time.perf_counter(), time.process_time()
    data = task.load_data()
    measured = {"used": time.process_time() - used, "seconds": time.perf_counter() - start}
    over.set()
    watcher.join()
    print(json.dumps(measured | {"megabytes": (peak[0] - before) / 2**20, "train": len(data.train)}))


def _own_memory() -> int:
    """Bytes of this process that are not pages of files (Linux)."""
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) * 1024 for line in stream if line.startswith("RssAnon"))


def growth(kinds: Sequence[str], rows: Sequence[int]) -> Iterator[tuple[str, int, dict[str, float]]]:
    """Each kind with each number of rows, in a process of its own."""
    from benchmarks.whole import environment

    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            for count in rows:
                file = Path(folder) / "rows.parquet"
                write_rows(kind, count, file)
                words = [word.format(file=file) for word in KINDS[kind][1]]
                done = subprocess.run(
                    [sys.executable, "-c", LOAD, *words], env=environment(1), capture_output=True, text=True
                )
                if done.returncode:
                    raise RuntimeError(done.stderr[-2000:])
                yield kind, count, json.loads(done.stdout.splitlines()[-1])


def show_data_growth(kinds: Sequence[str], rows: Sequence[int]) -> None:
    """Prints a table."""
    table = Table(title="from a file to prepared splits, one process, one thread")
    for column in ("", "rows", "s of the processor", "s on the clock", "MB"):
        table.add_column(column, justify="right" if column else "left")
    for kind, count, each in growth(kinds, rows):
        numbers = f"{each['used']:,.1f}", f"{each['seconds']:,.1f}", f"{each['megabytes']:,.0f}"
        print(kind, f"{count:,}", *numbers, file=sys.stderr, flush=True)
        table.add_row(kind, f"{count:,}", *numbers)
    Console().print(table)

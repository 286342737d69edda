"""Ratios of times, measured by turns, and the file and tables that they are written to."""

import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

MARKS = "<!-- ratios -->", "<!-- end of ratios -->"
TURN = 0.2
"""Seconds of a turn, about."""


@dataclass(frozen=True)
class Ratio:
    """How much longer a peer takes than this project; above 1 this project is faster.

    Attributes:
        benchmark: Name of the measurement.
        case: What is computed.
        peer: What it is compared with.
        ratio: Median of the ratios of paired turns.
        low: Lower quartile of these ratios.
        high: Upper quartile.
        ms: Median time of this project, in milliseconds a call.
        threads: Number of threads.
        goal: Least ratio that is wanted; None where none was set.
    """

    benchmark: str
    case: str
    peer: str
    ratio: float
    low: float
    high: float
    ms: float
    threads: int
    goal: float | None = None

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What is measured."""
        return self.benchmark, self.case, self.peer, self.threads


def seconds_a_call(call: Callable[[], object], calls: int) -> float:
    """Mean time of some calls."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def by_pairs(ours: Callable[[], object], peer: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    """Seconds a call of both, by turns of equal numbers of calls."""
    for call in (ours, peer):  # warm up
        call()
    calls = max(1, round(TURN / seconds_a_call(ours, 1)))
    times: tuple[list[float], list[float]] = ([], [])
    for turn in tqdm(range(rounds), leave=False, disable=not sys.stderr.isatty()):
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        for which in order:
            times[which].append(seconds_a_call((ours, peer)[which], calls))
    return times


def compare(
    names: tuple[str, str, str],
    ours: Callable[[], object],
    peer: Callable[[], object],
    rounds: int,
    goal: float | None = None,
) -> Ratio:
    """Times both by turns.

    Args:
        names: Name of the measurement, of the case, and of the peer.
        ours: One call of this project.
        peer: The same of the peer.
        rounds: Number of turns of each.
        goal: Least ratio that is wanted.
    """
    own, other = by_pairs(ours, peer, rounds)
    ratios = sorted(b / a for a, b in zip(own, other, strict=True))
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    return Ratio(*names, median(ratios), low, high, 1e3 * median(own), torch.get_num_threads(), goal)


def machine() -> dict[str, str]:
    """The processor in general terms, and versions: speeds depend on instruction sets."""
    flags, name = "", platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        text = info.read_text()
        flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
        vendor = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("vendor_id")), "")
        name = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}.get(vendor, vendor) + f" {name}"
    sets = [each for each in ("avx2", "avx512f", "avx512_bf16", "amx_tile") if f" {each}" in flags]
    card = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    return {"processor": f"{name}, {' '.join(sets)}"} | card | versions


def show(rows: Sequence[Ratio]) -> None:
    """Prints a table."""
    table = Table(title="time of the peer / time of this project: above 1 this project is faster")
    for column in ("", "case", "peer", "ratio", "quartiles", "ms", "threads", "goal"):
        table.add_column(column)
    for row in rows:
        goal = "" if row.goal is None else f"{row.goal:.2f} {'met' if row.ratio >= row.goal else 'missed'}"
        quartiles = f"{row.low:.2f} to {row.high:.2f}"
        table.add_row(
            row.benchmark, row.case, row.peer, f"{row.ratio:.2f}", quartiles, f"{row.ms:,.1f}", str(row.threads), goal
        )
    Console().print(table)


def save(rows: Sequence[Ratio], file: Path) -> None:
    """Writes rows into a JSON file, in the place of older ones of the same measurements."""
    stored = read(file) if file.is_file() else []
    new = {row.key for row in rows}
    kept = [row for row in stored if row.key not in new]
    content = {"machine": machine(), "rows": [asdict(row) for row in [*kept, *rows]]}
    file.write_text(json.dumps(content, indent=1) + "\n")


def read(file: Path) -> list[Ratio]:
    """Rows of a JSON file."""
    return [Ratio(**row) for row in json.loads(file.read_text())["rows"]]


def write_page(files: Sequence[Path], page: Path) -> None:
    """Writes the rows of JSON files between the marks of a page, as tables in Markdown."""
    text, (begin, end) = page.read_text(), MARKS
    before, rest = text.split(begin)
    lines = []
    for file in files:
        made_on = json.loads(file.read_text())["machine"]
        lines += [f"{made_on.get('gpu', made_on['processor'])}; torch {made_on['torch']}.", ""]
        for name in dict.fromkeys(row.benchmark for row in read(file)):
            lines += [*_table([row for row in read(file) if row.benchmark == name]), ""]
    page.write_text(f"{before}{begin}\n{chr(10).join(lines)}{end}{rest.split(end)[1]}")


def _table(rows: Sequence[Ratio]) -> list[str]:
    """Rows of one measurement; the last part of a case, such as the length, makes columns where there are several."""
    columns = list(dict.fromkeys(row.case.rpartition(", ")[2] for row in rows))
    lines = [f"| {rows[0].benchmark} | threads | peer | {' | '.join(columns)} |", "|---" * (3 + len(columns)) + "|"]
    for key in dict.fromkeys((row.case.rpartition(", ")[0], row.threads, row.peer) for row in rows):
        cells = dict.fromkeys(columns, "")
        for row in rows:
            case, _, column = row.case.rpartition(", ")
            if (case, row.threads, row.peer) == key:
                missed = "" if row.goal is None or row.ratio >= row.goal else f", goal {row.goal:.2f}"
                cells[column] = f"{row.ratio:.2f} ({row.low:.2f} to {row.high:.2f}{missed})"
        lines.append("| " + " | ".join([*map(str, key), *cells.values()]) + " |")
    return lines

"""Writes one table of results from run folders: score, best baseline, difference with its interval, verdict, cost, command.

python scripts/results_table.py runs
python scripts/results_table.py runs --output docs/results.md
python scripts/results_table.py runs/new --output docs/results.md --keep
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mla_train.commands import command_parser
from mla_train.config.stored import read_json
from mla_train.errors import printable, run_script
from mla_train.report.results_table import results_table, rows_of_runs
from mla_train.report.runs import State, find_runs, reason
from mla_train.report.tables import as_markdown
from mla_train.safe_files import write_atomically

MARKS = "<!-- results -->\n", "<!-- end of results -->\n"
"""Lines between which a page holds the table."""


def main() -> None:
    """Writes the table, or says in one line what is wrong."""
    run_script(write_table)


def write_table() -> None:
    """Reads the options and writes the table."""
    parser = command_parser(__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="folders whose runs are read")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="page whose part between marks is replaced (default: standard output)",
    )
    parser.add_argument(
        "--keep", action="store_true", help="rows of the page whose commands are not among the runs stay"
    )
    options = parser.parse_args()
    for folder in options.folders:
        if not folder.is_dir():
            sys.exit(f"error: {folder}: no such folder")
    runs = [run for folder in options.folders for run in find_runs(folder)]
    for run in runs:
        if run.state is State.unreadable:
            print(printable(run.problem), file=sys.stderr)
    rows = rows_of_runs(readable(run.folder for run in runs if run.state is State.finished))
    if not rows:
        sys.exit(f"error: no finished run with a test split in {', '.join(map(str, options.folders))}")
    text = as_markdown(results_table(rows)) + "\n"
    if options.output is None:
        print(text, end="")
        return
    page = options.output.read_text()
    before, begin, rest = page.partition(MARKS[0])
    old, end, after = rest.partition(MARKS[1])
    if not (begin and end):
        sys.exit(f"error: --output {options.output}: it lacks the lines {MARKS[0].strip()} and {MARKS[1].strip()}")
    write_atomically(options.output, before + begin + (merged(text, old) if options.keep else text) + end + after)
    print(f"{len(rows)} rows written to {options.output}")


def readable(folders: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Results of those runs that can be shown in the table; each other one is a line for the user."""
    for folder in folders:
        file = folder / "results.json"
        try:
            results = read_json(file)
            as_markdown(results_table(rows_of_runs([results])))
        except Exception as error:  # damaged files raise errors of many kinds
            print(printable(f"{file} cannot be read: {reason(error)}"), file=sys.stderr)
        else:
            yield results


def merged(table: str, old: str) -> str:
    """A table in Markdown with the rows of an older one whose commands it lacks, by task and data."""
    head, rows = table.splitlines()[:2], table.splitlines()[2:]
    commands = {_cells(row)[-1] for row in rows}
    rows += [row for row in old.splitlines()[2:] if _cells(row)[-1] not in commands]
    return "".join(f"{row}\n" for row in [*head, *sorted(rows, key=lambda row: _cells(row)[:2])])


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]

"""Lists all runs below a folder in one table: task, data, score beside the best baseline, cost, command.

python scripts/runs.py
python scripts/runs.py runs/image_classification --sort difference --html runs.html
"""

import sys
from pathlib import Path

from mla_train.commands import command_parser
from mla_train.errors import printable, run_script
from mla_train.report.page import render
from mla_train.report.runs import COLUMNS, State, find_runs, runs_table
from mla_train.report.tables import print_fitting, terminal
from mla_train.safe_files import write_atomically

OPTIONAL = ("command", "parameters", "attention", "seconds", "task", "best baseline", "date", "data")
"""Columns that a narrow terminal leaves out, in this order."""


def main() -> None:
    """Lists the runs, or says in one line what is wrong."""
    run_script(list_runs)


def list_runs() -> None:
    """Reads the options and shows the table."""
    parser = command_parser(__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs"), help="folder to search (default: runs)")
    parser.add_argument("--sort", choices=list(COLUMNS), default="date", metavar="COLUMN", help=", ".join(COLUMNS))
    parser.add_argument("--task", help="only runs of this task")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write an HTML page with a sortable table")
    options = parser.parse_args()
    if not options.folder.is_dir():
        sys.exit(f"error: {options.folder}: no such folder")
    runs = [run for run in find_runs(options.folder) if options.task in (None, run.task)]
    if not runs:
        sys.exit(f"error: no runs{f' of task {options.task}' if options.task else ''} in {options.folder}")
    table = runs_table(runs, options.folder).sorted_by(COLUMNS[options.sort])
    print_fitting(table, OPTIONAL, terminal(), "A wider window, or --html FILE,")
    for run in runs:
        if run.state is State.unreadable:
            print(printable(run.problem), file=sys.stderr)
    if options.html:
        counts = {state.value: sum(run.state is state for run in runs) for state in State}
        shown = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        note = f"{shown}. Differences are to the best baseline on the same split, green if better."
        linked = runs_table(runs, options.folder, options.html.parent).sorted_by(COLUMNS[options.sort])
        write_atomically(options.html, render("runs", f"Runs in {options.folder}", note=note, table=linked))
        print(f"Page: {options.html}")

"""Writes one table of results from run folders: `python scripts/results_table.py --help`."""

from mla_train.commands.results_table import main
from mla_train.program import run_program

if __name__ == "__main__":
    run_program(main)

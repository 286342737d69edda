"""Searches for the best settings: `python scripts/sweep.py --help`."""

from mla_train.commands.sweep import main
from mla_train.program import run_program

if __name__ == "__main__":
    run_program(main)

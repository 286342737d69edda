"""Checks data before training: `python scripts/check_data.py --help`."""

from mla_train.commands.check_data import main
from mla_train.program import run_program

if __name__ == "__main__":
    run_program(main)

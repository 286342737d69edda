"""Compares variants: `python scripts/compare.py --help`."""

from mla_train.commands.compare import main
from mla_train.program import run_program

if __name__ == "__main__":
    run_program(main)

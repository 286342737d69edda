"""Evaluates a trained model: `python scripts/evaluate.py --help`."""

from mla_train.commands.evaluate import main
from mla_train.program import run_program

if __name__ == "__main__":
    run_program(main)

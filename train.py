"""Trains an attention model on a task: `python train.py --help`."""

from mla_train.commands.train import main
from mla_train.program import run_program

if __name__ == "__main__":
    run_program(main)

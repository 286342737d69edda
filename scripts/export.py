"""Exports a trained model as a folder: see mla_train/commands/export.py, or --help."""

from mla_train.commands.export import main
from mla_train.program import run_program

if __name__ == "__main__":
    run_program(main)

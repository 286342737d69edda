"""Serves a trained model over HTTP: `python scripts/serve.py --help`."""

from mla_train.commands.serve import main
from mla_train.program import run_program

if __name__ == "__main__":
    run_program(main)

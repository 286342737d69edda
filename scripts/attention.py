"""Draws attention maps and attributions: `python scripts/attention.py --help`."""

from mla_train.commands.attention import main
from mla_train.program import run_program

if __name__ == "__main__":
    run_program(main)

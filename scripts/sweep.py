"""Searches for the best settings: `python scripts/sweep.py --help`."""

from mla_train.commands.sweep import main

if __name__ == "__main__":
    main()

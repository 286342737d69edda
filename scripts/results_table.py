"""Writes one table of results from run folders: `python scripts/results_table.py --help`."""

from mla_train.commands.results_table import main

if __name__ == "__main__":
    main()

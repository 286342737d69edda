"""Checks data before training: `python scripts/check_data.py --help`."""

from mla_train.commands.check_data import main

if __name__ == "__main__":
    main()

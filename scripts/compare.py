"""Compares variants: `python scripts/compare.py --help`."""

from mla_train.commands.compare import main

if __name__ == "__main__":
    main()

"""Lists runs: `python scripts/runs.py --help`."""

from mla_train.commands.runs import main

if __name__ == "__main__":
    main()

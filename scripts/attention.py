"""Draws attention maps and attributions: `python scripts/attention.py --help`."""

from mla_train.commands.attention import main

if __name__ == "__main__":
    main()

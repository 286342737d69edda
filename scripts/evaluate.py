"""Evaluates a trained model: `python scripts/evaluate.py --help`."""

from mla_train.commands.evaluate import main

if __name__ == "__main__":
    main()

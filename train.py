"""Trains an attention model on a task: `python train.py --help`."""

from mla_train.commands.train import main

if __name__ == "__main__":
    main()

"""Trains an attention model on a task: `python train.py --help`."""

from pathlib import Path

from mla_train.cli import main

if __name__ == "__main__":
    main(config_dir=Path(__file__).resolve().parent / "conf")

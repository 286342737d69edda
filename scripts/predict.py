"""Predicts with a trained model: `python scripts/predict.py --help`."""

from mla_train.commands.predict import main
from mla_train.program import run_program

if __name__ == "__main__":
    run_program(main)

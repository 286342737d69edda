"""Predicts with a trained model: `python scripts/predict.py --help`."""

from mla_train.commands.predict import main

if __name__ == "__main__":
    main()

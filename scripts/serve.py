"""Serves a trained model over HTTP: `python scripts/serve.py --help`."""

from mla_train.commands.serve import main

if __name__ == "__main__":
    main()

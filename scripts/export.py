"""Exports a trained model as a folder: see mla_train/commands/export.py, or --help."""

from mla_train.commands.export import main

if __name__ == "__main__":
    main()

"""Texts in tables; no torch here."""

from mla_train.data.examples import RawData
from mla_train.data.readers import read_table_examples
from tasks.text_classification.config import TextFilesConfig


def read_texts(options: TextFilesConfig) -> RawData:
    """Texts with a label in each row of tables."""
    return read_table_examples(options, ["text"])

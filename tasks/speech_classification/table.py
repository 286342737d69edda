"""Recordings in tables; no torch here."""

from mla_train.data.examples import RawData
from mla_train.data.readers import read_table_examples
from tasks.speech_classification.config import AudioTableConfig


def read_table(options: AudioTableConfig) -> RawData:
    """Recordings with a label in each row of tables."""
    return read_table_examples(options, ["audio"])

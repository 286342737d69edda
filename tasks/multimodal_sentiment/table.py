"""Texts and images in tables; no torch here."""

from mla_train.data.examples import RawData
from mla_train.data.readers import read_table_examples
from tasks.multimodal_sentiment.config import TextImageFilesConfig


def read_texts_and_images(options: TextImageFilesConfig) -> RawData:
    """Texts and images with a label in each row of tables."""
    return read_table_examples(options, options.modalities)

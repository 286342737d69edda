"""Images in tables; no torch here."""

from mla_train.data.examples import RawData
from mla_train.data.readers import read_table_examples
from tasks.image_classification.config import ImageTableConfig


def read_table(options: ImageTableConfig) -> RawData:
    """Images with a label in each row of tables."""
    return read_table_examples(options, ["image"])

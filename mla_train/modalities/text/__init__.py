"""Texts: tokens by the `tokenizers` library, TF-IDF features beside them."""

from mla_train.modalities.text.preprocess import Text, TextColumn, TextTensors, clean
from mla_train.modalities.text.spec import TextSpec

__all__ = ["Text", "TextColumn", "TextSpec", "TextTensors", "clean"]

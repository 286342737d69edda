"""Texts: tokens by the `tokenizers` library, TF-IDF features beside them."""

from mla_train.modalities.text.preprocess import Text, TextColumn, clean
from mla_train.modalities.text.spec import TextSpec, TextTensors

__all__ = ["Text", "TextColumn", "TextSpec", "TextTensors", "clean"]

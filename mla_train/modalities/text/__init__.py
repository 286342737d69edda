"""Texts: tokens by the `tokenizers` library, TF-IDF features beside them."""

from mla_train.modalities.text.column import TextColumn
from mla_train.modalities.text.exact import ExactText
from mla_train.modalities.text.pieces import PieceColumn
from mla_train.modalities.text.preprocess import Text, clean
from mla_train.modalities.text.spec import TextSpec, TextTensors

__all__ = ["ExactText", "PieceColumn", "Text", "TextColumn", "TextSpec", "TextTensors", "clean"]

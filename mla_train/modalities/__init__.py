"""Kinds of input, a folder each: spec, preprocessing, embedding, augmentation, explanation."""

from mla_train.modalities.base import Column, Embedding, Modality, ModalityFeatures
from mla_train.modalities.features import Features
from mla_train.modalities.image import Image
from mla_train.modalities.series import Series
from mla_train.modalities.text import Text

MODALITIES: dict[str, type[Modality]] = {kind.kind: kind for kind in (Text, Image, Features, Series)}
"""Kinds of input by their names."""

__all__ = ["MODALITIES", "Column", "Embedding", "Features", "Image", "Modality", "ModalityFeatures", "Series", "Text"]

"""Kinds of input, a folder each: spec, preprocessing, embedding, augmentation, explanation.

Names are imported when they are first asked for: files are read before torch is loaded.
"""

from typing import TYPE_CHECKING

from mla_train.lazy import lazy_names

if TYPE_CHECKING:
    from mla_train.modalities.audio import Audio
    from mla_train.modalities.base import Column, Embedding, Modality, ModalityFeatures
    from mla_train.modalities.features import Features
    from mla_train.modalities.image import Image
    from mla_train.modalities.items import Items
    from mla_train.modalities.registry import MODALITIES
    from mla_train.modalities.series import Series
    from mla_train.modalities.text import Text

__all__ = [
    "MODALITIES",
    "Audio",
    "Column",
    "Embedding",
    "Features",
    "Image",
    "Items",
    "Modality",
    "ModalityFeatures",
    "Series",
    "Text",
]

__getattr__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(("Column", "Embedding", "Modality", "ModalityFeatures"), "base"),
        "MODALITIES": "registry",
        "Audio": "audio",
        "Features": "features",
        "Image": "image",
        "Items": "items",
        "Series": "series",
        "Text": "text",
    },
)

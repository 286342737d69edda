"""Histories of items, such as the films that a user saw, the newest last: ids, and as an option the time between them."""

from mla_train.modalities.items.embed import ItemEmbedding
from mla_train.modalities.items.preprocess import Items
from mla_train.modalities.items.spec import ItemSpec, ItemTensors

__all__ = ["ItemEmbedding", "ItemSpec", "ItemTensors", "Items"]

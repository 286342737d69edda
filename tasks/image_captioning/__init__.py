"""Images to sentences that say what they show. Nothing heavy is imported before it is asked for."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(__name__, {"ImageCaptioning": "task", "read_icons": "icons", "read_captions": "files"})

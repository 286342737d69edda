"""Windows of series without a forecast: hidden patches of the past are filled in. Nothing heavy is imported before it is asked for."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(__name__, {"MaskedWindows": "task"})

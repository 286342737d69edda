"""Trains models built from Multi-head Latent Attention on your own task: `mla_train.load` uses what was trained."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(__name__, {"load": "inference.predictor"})

"""Attention layers: one base class, the kinds that fulfil it, and what can be plugged into them."""

# ruff: noqa: F401 - names that other rooms use
from mla_train.nn.attention.base import Attention
from mla_train.nn.attention.cache import Cache
from mla_train.nn.attention.factory import build_attention
from mla_train.nn.attention.mla import MultiheadLatentAttention
from mla_train.nn.attention.multihead import GroupedQueryAttention
from mla_train.nn.attention.observation import observe
from mla_train.nn.attention.rotary import RotaryEmbedding, Rotation, grid_positions, rotate

"""Texts without labels: the network learns to continue them. Nothing heavy is imported before it is asked for."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(__name__, {"CausalLM": "task", "read_python_sources": "python_sources"})

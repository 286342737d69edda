"""A network that begins as the best linear model of what its side paths read: training can only add to it."""

from typing import Any

import torch

from mla_train.baselines.linear import Linear, linear_of, methods_of
from mla_train.baselines.tables import columns_of, join
from mla_train.dataset import Dataset
from mla_train.heads.pooled import PooledHead
from mla_train.model import Model


def begin_as_linear(model: Model, data: Dataset, quick: bool = False) -> tuple[str, Linear] | None:
    """Sets the side paths and the head's layers to the linear model with the least loss on val.

    Args:
        model: Network.
        data: Data set.
        quick: Whether to fit with the usual penalty alone.

    Returns:
        Name and weights of the linear model; None where there is no side path for one, or it would take too long.
    """
    head: Any = model.head
    if not isinstance(head, PooledHead):
        return None
    tables, paths = [], {}
    for name in data.spec.inputs:
        embedding: Any = model.embeddings[name]
        if embedding.linear_width >= head.count_outputs(head.spec):
            paths[name] = embedding
            tables.append([embedding.side_table(column) for column in columns_of(data, name)])
    if not tables:
        return None
    joined = join(tables) if len(tables) > 1 else tables[0]
    is_counts = all(modality.kind == "text" for modality in data.spec.inputs.values())
    methods = [method for method in methods_of(head.kind) if is_counts or method == "linear"]
    fitted = {method: linear_of(method, joined, data, quick) for method in methods}
    known = {method: linear for method, linear in fitted.items() if linear is not None}
    if not known:
        return None
    best = min(known, key=lambda method: known[method].loss)
    linear, first, rows = known[best], 0, {}
    for (name, embedding), table in zip(paths.items(), tables, strict=True):
        weight = torch.from_numpy(linear.weight[first : first + table[0].shape[1]])
        rows[name] = embedding.set_linear(weight)
        first += len(weight)
    head.set_linear(rows, torch.from_numpy(linear.bias))
    return best, linear

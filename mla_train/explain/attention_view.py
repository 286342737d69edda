"""Attention of one sequence over another, between units that people read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mla_train.modalities.explanation import InputExplanation, Units, WordUnits


@dataclass
class AttentionView:
    """Attention of one sequence over another in some layers.

    Attributes:
        name: Names of both for titles and files, such as "target over source".
        layers: Attention layers, from the first to the last.
        queries: Units of the sequence that attends.
        keys: Units of the sequence that is attended to.
        query_units: Index in `queries` of each token's unit, `(query_tokens,)`; -1 for none.
        key_units: Index in `keys` of each token's unit, `(key_tokens,)`; -1 for none.
        positions: Positions of tokens in self-attention, `(tokens, axes)`; NaN where a token has none.
        call: Index of the call of the layers.
        row: Index of the example in the batch of this call.
        query_weights: Weight of each query in `received`, `(query_tokens,)`; None weights all alike.
    """

    name: str
    layers: Sequence[nn.Module]
    queries: Units
    keys: Units
    query_units: Tensor
    key_units: Tensor
    positions: Tensor | None = None
    call: int = 0
    row: int = 0
    query_weights: Tensor | None = None

    def by_unit(self, weights: Tensor) -> Tensor:
        """Attention between tokens, `(heads, query_tokens, key_tokens)`, as that between units, `(heads, queries, keys)`.

        It is the mean over the tokens of a query, the sum over those of a key.
        """
        members = _members(self.query_units, self.queries).to(weights)
        members = members / members.sum(-1, keepdim=True).clamp(min=1)
        return members @ weights @ _members(self.key_units, self.keys).to(weights).T

    def of_read_words(self) -> "AttentionView":
        """The view without words that have no token: a long text may have any number of them behind those that are read."""
        queries, query_units = _with_tokens(self.queries, self.query_units)
        keys, key_units = _with_tokens(self.keys, self.key_units)
        return replace(self, queries=queries, keys=keys, query_units=query_units, key_units=key_units)

    def received(self, weights: Tensor) -> Tensor:
        """Attention that each key receives from all queries together, `(heads, keys)`; see `by_unit`."""
        query_weights = (self.query_units >= 0).float() if self.query_weights is None else self.query_weights
        received = (query_weights / query_weights.sum()).to(weights) @ weights
        return received @ _members(self.key_units, self.keys).to(weights).T


def _with_tokens(units: Units, token_units: Tensor) -> tuple[Units, Tensor]:
    """Words that have a token, and the word of each token among them."""
    if not isinstance(units, WordUnits):
        return units, token_units
    kept, places = token_units[token_units >= 0].unique(return_inverse=True)
    numbers = token_units.clone()
    numbers[token_units >= 0] = places
    return WordUnits([units.labels[place] for place in kept.tolist()]), numbers


def _members(token_units: Tensor, units: Units) -> Tensor:
    """1 where a token belongs to a unit, `(units, tokens)`."""
    return (torch.arange(len(units)).unsqueeze(1) == token_units.cpu()).float()


def key_units(name: str, parts: Mapping[str, InputExplanation], sizes: Mapping[str, int]) -> Tensor:
    """The unit of each token of several inputs side by side, `(tokens,)`: -1 for tokens of all inputs but the named one.

    The sizes are the numbers of tokens of each input, in order.
    """
    return torch.cat([parts[n].token_units if n == name else torch.full((size,), -1) for n, size in sizes.items()])

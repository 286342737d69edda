"""Recurrent encoder and decoder with additive attention (Bahdanau et al. 2014), from before the Transformer.

    h_j  = bidirectional GRU over the source          s_0 = tanh(W h_0 of the backward direction)
    e_ij = v^T tanh(W s_{i-1} + U h_j)                c_i = sum_j softmax_j(e_ij) h_j
    s_i  = GRU(s_{i-1}, [y_{i-1}, c_i])               output_i = tanh(W [s_i, c_i, y_{i-1}])

They take the places of `Encoder` and `Decoder` and are called alike.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mla_train.nn.dropout import Dropout


class GruEncoder(nn.Module):
    """A bidirectional GRU.

    Args:
        dim: Width of tokens; the output is twice as wide.
        depth: Number of layers.
        dropout: Dropout between layers.
    """

    def __init__(self, dim: int, depth: int, dropout: float) -> None:
        super().__init__()
        dropout = dropout if depth > 1 else 0.0
        self.gru = nn.GRU(dim, dim, depth, batch_first=True, bidirectional=True, dropout=dropout)

    def forward(self, x: Tensor, positions: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        """Encodes tokens.

        Args:
            x: Tokens, `(batch, length, dim)`.
            positions: Not needed: steps follow each other.
            padding: True at padding, which is at the end, `(batch, length)`.

        Returns:
            `(batch, length, 2 * dim)`; zeros at padding.
        """
        if padding is None:
            return self.gru(x)[0]
        lengths = (~padding).sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=x.size(1))[0]


class GruCache:
    """The state of a decoding under way.

    Attributes:
        state: State of each row, `(rows, dim)`; None before the first token.
        projected: Memory as attention reads it, `(sources, length, dim)`.
    """

    def __init__(self) -> None:
        self.state: Tensor | None = None
        self.projected: Tensor | None = None

    def reorder(self, rows: Tensor) -> None:
        """Keeps the given rows in the given order."""
        assert self.state is not None
        self.state = self.state[rows]

    def keep(self, sources: Tensor) -> None:
        """Keeps the given sources."""
        assert self.projected is not None
        self.projected = self.projected[sources]


class GruDecoder(nn.Module):
    """A GRU that attends to the output of `GruEncoder`."""

    cache_width = 0  # one state for all tokens

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.dim, self.memory_dim = dim, 2 * dim
        self.first_state = nn.Linear(dim, dim)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(2 * dim, dim)
        self.energy = nn.Linear(dim, 1, bias=False)
        self.gru = nn.GRU(3 * dim, dim, batch_first=True)
        self.output = nn.Linear(4 * dim, dim)
        self.dropout = Dropout(dropout)

    def new_cache(self) -> GruCache:
        """The cache of a decoding that is about to begin."""
        return GruCache()

    def forward(
        self, x: Tensor, memory: Tensor, memory_padding_mask: Tensor | None = None, cache: GruCache | None = None
    ) -> Tensor:
        """Decodes tokens; see `Decoder.forward`."""
        return self.decode(x, memory, memory_padding_mask, cache)[0]

    def decode(
        self, x: Tensor, memory: Tensor, padding: Tensor | None = None, cache: GruCache | None = None
    ) -> tuple[Tensor, Tensor]:
        """Decodes tokens one by one.

        Args:
            x: Tokens, `(batch, length, dim)`; the batch holds the beams of the first source, then those of the second.
            memory: Output of the encoder, `(sources, keys, 2 * dim)`.
            padding: True at padding, `(sources, keys)`.
            cache: State after earlier tokens.

        Returns:
            Outputs, `(batch, length, dim)`, and the weights of the memory, `(batch, length, keys)`.
        """
        cache = self.new_cache() if cache is None else cache
        beams = len(x) // len(memory)
        if cache.state is None:
            # The backward direction ends at the first token.
            cache.state = self.first_state(memory[:, 0, self.dim :]).tanh().repeat_interleave(beams, 0)
        memory = self.dropout(memory)
        if cache.projected is None:
            cache.projected = self.key(memory)
        outputs, maps = [], []
        for token in x.unbind(1):
            context, weights = self.attend(cache.state, memory, cache.projected, padding)
            step = torch.cat([token, context], -1).unsqueeze(1)
            state = self.gru(step, cache.state.unsqueeze(0))[1].squeeze(0)
            outputs.append(self.dropout(self.output(torch.cat([state, context, token], -1)).tanh()))
            maps.append(weights)
            cache.state = state
        return torch.stack(outputs, 1), torch.stack(maps, 1)

    def attend(self, state: Tensor, memory: Tensor, projected: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        """Additive attention of states to the memory.

        Args:
            state: States, `(rows, dim)`; the rows are the beams of each source.
            memory: `(sources, keys, 2 * dim)`.
            projected: Memory as attention reads it, `(sources, keys, dim)`.
            padding: True at padding, `(sources, keys)`.

        Returns:
            Context `(rows, 2 * dim)` and weights `(rows, keys)`.
        """
        query = self.query(state).view(len(memory), -1, 1, self.dim)
        energy = self.energy((query + projected.unsqueeze(1)).tanh()).squeeze(-1)
        if padding is not None:
            energy = energy.masked_fill(padding.unsqueeze(1), -torch.inf)
        weights = energy.softmax(-1)
        return (weights @ memory).flatten(0, 1), weights.flatten(0, 1)

"""Augmentation of training texts: tokens are removed or made unknown."""

import torch
from torch import Tensor

from mla_train.config import Augmentation
from mla_train.data.tokenizers import END_ID, UNK_ID

# Share of tokens that are dropped, different ones each time: half of them removed, half made unknown.
DROPPED = {Augmentation.none: 0.0, Augmentation.light: 0.2, Augmentation.strong: 0.4}
# Share of tokens that are made unknown where a text is generated: in the source and in the decoder's input.
HIDDEN = {Augmentation.none: 0.0, Augmentation.light: 0.0, Augmentation.strong: 0.1}


def drop_tokens(tokens: Tensor, share: float) -> Tensor:
    """Leaves out half of a random share of tokens `(length,)` and makes the other half unknown; one stays at least."""
    chance = torch.rand(len(tokens))
    tokens = tokens.masked_fill(chance < share, UNK_ID)
    kept = tokens[chance >= share / 2]
    return kept if len(kept) else tokens[:1]


def hide_tokens(tokens: Tensor, share: float) -> Tensor:
    """Makes a random share of tokens `(...)` unknown, but none that marks start, end or padding."""
    chance = torch.rand(tokens.shape, device=tokens.device)
    return tokens.masked_fill((chance < share) & (tokens > END_ID), UNK_ID)

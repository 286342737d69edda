"""Attention of a decoder: generated words over each input, and over the words before them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mla_train.explain.attention_view import AttentionView, key_units
from mla_train.heads.generation import Generation
from mla_train.modalities.explanation import InputExplanation, WordUnits
from mla_train.modalities.text.explain import TextUnits
from mla_train.nn import Decoder


def with_end(part: InputExplanation) -> InputExplanation:
    """A text whose end token, the one without a unit, is a unit too: it is no word, but is attended to."""
    if not isinstance(part.units, WordUnits) or not bool((part.token_units < 0).any()):
        return part
    units, token_units = _ended(part.units, part.token_units[part.token_units >= 0])
    return replace(part, units=units, token_units=token_units)


def decoder_views(
    head: Generation, parts: Mapping[str, InputExplanation], sizes: Mapping[str, int], text: str
) -> list[AttentionView]:
    """Words of a generated text over each input that is present, and over the words before them; see `key_units`.

    A recurrent decoder has none.
    """
    if not isinstance(head.decoder, Decoder):
        return []
    blocks: Any = head.decoder.blocks
    cross, own = [block.cross_attention for block in blocks], [block.attention for block in blocks]
    words = TextUnits(text, head.tokenizer, lambda tokens: tokens[: head.spec.max_length])
    written, written_units = _ended(words.units, words.token_units)
    # The decoder reads the start and all written tokens but the end.
    read = WordUnits(["start", *words.units.labels])
    read_units = torch.cat([torch.tensor([0]), words.token_units + 1])
    views = [
        AttentionView(
            f"target over {name}",
            cross,
            written,
            part.attended or part.units,
            written_units,
            key_units(name, parts, sizes),
        )
        for name, part in parts.items()
    ]
    positions = torch.arange(len(read_units)).unsqueeze(1)
    return [*views, AttentionView("target over target", own, written, read, written_units, read_units, positions)]


def _ended(units: WordUnits, token_units: Tensor) -> tuple[WordUnits, Tensor]:
    """Words of a text and the unit of each token, the end token included."""
    return WordUnits([*units.labels, "end"]), torch.cat([token_units, torch.tensor([len(units)])])

"""Beam search with the latent cache beside multi-head attention, and without any cache."""

import argparse
import time
from functools import partial
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from mla_train.config import AttentionConfig, AttentionKind, EncoderConfig, GenerationOptions, RegularizationConfig
from mla_train.heads.decoding import Decoding, Memory
from mla_train.nn import Decoder, beam_search
from mla_train.studies.timing import by_turns

START, END, VOCAB = 1, 2, 1000
PEER = "transformers Marian"


class LanguageModel(nn.Module):
    """A decoder with random weights that generates up to the greatest length."""

    def __init__(self, kind: AttentionKind, sizes: EncoderConfig) -> None:
        super().__init__()
        self.options = GenerationOptions()
        attention = AttentionConfig(kind)
        self.embedding = nn.Embedding(VOCAB, sizes.dim)
        self.decoder = Decoder(sizes, attention, attention, RegularizationConfig())
        self.head = nn.Linear(sizes.dim, VOCAB)
        with torch.no_grad():
            self.head.bias[END] = -1e4

    def decode_states(self, tokens: Tensor, memory: Memory, cache: Any = None) -> Tensor:
        """Output of the decoder for each token, `(rows, length, dim)`."""
        return self.decoder(self.embedding(tokens), memory.states, memory.padding, cache)

    def score(self, x: Tensor, memory: Memory) -> Tensor:
        """Logits of the token after each, `(rows, length, VOCAB)`."""
        return self.head(x)


class UncachedDecoding(Decoding):
    """Computes the keys and values of all tokens again at each step."""

    tokens: Tensor | None = None

    def step(self, tokens: Tensor) -> Tensor:
        """Log probabilities of the next tokens, `(rows, VOCAB)`."""
        new = tokens.unsqueeze(1)
        self.tokens = new if self.tokens is None else torch.cat([self.tokens, new], 1)
        return self.head.score(self.head.decode_states(self.tokens, self.memory), self.memory)[:, -1].log_softmax(-1)

    def reorder(self, rows: Tensor) -> None:
        """Selects beams."""
        assert self.tokens is not None
        self.tokens = self.tokens[rows]


def generation_speed(model: Any, memory: Tensor, cached: bool, length: int, beams: int) -> tuple[float, int]:
    """Tokens a second of all beams of a `LanguageModel`, and bytes of the cache; memory is `(sources, length, dim)`."""
    state: Any = (Decoding if cached else UncachedDecoding)(model, Memory(memory))
    start = time.perf_counter()
    hypotheses = beam_search(state, [length] * len(memory), start=START, end=END, beams=beams, device=memory.device)
    seconds = time.perf_counter() - start
    assert all(len(best[0].tokens) == length - 1 for best in hypotheses)
    return len(memory) * beams * length / seconds, state.cache.nbytes


def marian_speed(model: Any, memory: Tensor, length: int, beams: int) -> float:
    """Tokens a second of all beams of transformers' `generate` with its cache, for sources that are encoded already."""
    from transformers.modeling_outputs import BaseModelOutput

    start = time.perf_counter()
    with torch.no_grad():
        found = model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=memory), attention_mask=torch.ones(memory.shape[:2]),
            num_beams=beams, max_new_tokens=length, min_new_tokens=length, do_sample=False,
        )  # fmt: skip
    seconds = time.perf_counter() - start
    assert found.shape == (len(memory), length + 1)
    return len(memory) * beams * length / seconds


def marian(sizes: EncoderConfig) -> Any:
    """Transformers' Marian of these sizes, with random weights."""
    from transformers import MarianConfig, MarianMTModel

    layers: dict[str, Any] = {
        "encoder_layers": 1,
        "decoder_layers": sizes.depth,
        "encoder_ffn_dim": 4,
        "decoder_ffn_dim": 4 * sizes.dim,
    }
    heads: dict[str, Any] = {"encoder_attention_heads": sizes.num_heads, "decoder_attention_heads": sizes.num_heads}
    special: dict[str, Any] = {
        "pad_token_id": 0,
        "decoder_start_token_id": START,
        "eos_token_id": END,
        "forced_eos_token_id": None,
    }
    shapes: dict[str, Any] = {
        "d_model": sizes.dim,
        "vocab_size": VOCAB,
        "decoder_vocab_size": VOCAB,
        "max_position_embeddings": 4096,
    }
    return MarianMTModel(MarianConfig(**shapes, **layers, **heads, **special)).eval()


def decode(options: argparse.Namespace) -> None:
    """Beam search with MLA's latent cache beside multi-head attention and transformers' Marian, and without any cache."""
    sizes = EncoderConfig(dim=options.dim, depth=options.depth, num_heads=options.heads)
    torch.manual_seed(0)
    models = {kind.name: LanguageModel(kind, sizes).eval() for kind in (AttentionKind.mla, AttentionKind.mha)}
    memory = torch.randn(options.sources, options.memory, options.dim)
    table = Table(
        title=f"beam search, {options.beams} beams, {options.sources} sources of {options.memory} tokens, "
        f"width {options.dim}, {options.depth} blocks, {options.heads} heads, {options.threads} threads",
        caption="bytes a token: cache of the generated sequence, all blocks; MB: the whole cache, source included",
    )
    for column in ("length", "attention", "tokens/s", "speed", "bytes a token", "share", "MB"):
        table.add_column(column, justify="right")
    cache_bytes: dict[str, int] = {}
    peer = marian(sizes)

    def measure(name: str, length: int) -> float:
        if name == PEER:
            return marian_speed(peer, memory, length, options.beams)
        model, _, without_cache = name.partition(", ")
        speed, cache_bytes[name] = generation_speed(models[model], memory, not without_cache, length, options.beams)
        return speed

    for name in (*models, PEER):  # warm up
        measure(name, 16)
    for length in options.lengths:
        names = [*models, PEER, *(["mla, no cache"] if length <= options.uncached_up_to else [])]
        speeds = by_turns({name: partial(measure, name, length) for name in names}, options.rounds)
        full = models["mha"].decoder.cache_width
        for name, speed in speeds.items():
            width = models[name].decoder.cache_width if name in models else 0
            row = [f"{speed:,.0f}", f"{speed / speeds['mha']:.2f}x"]
            row += (
                ["", "", ""]
                if name == PEER
                else [f"{4 * width:,}", f"{width / full:.1%}", f"{cache_bytes[name] / 1e6:.1f}"]
            )
            table.add_row(str(length), name, *row)
        table.add_section()
    Console().print(table)

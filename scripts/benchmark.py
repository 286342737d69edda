"""Times decoding, attention patterns and batches: `python scripts/benchmark.py decode`, `... patterns`, `... batches`.

All alternatives are timed by turns in one process, and medians are compared, so that the load of the machine affects all alike.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from tqdm import tqdm

from mla_train.config import AttentionConfig, AttentionKind, EncoderConfig, Pattern, RegularizationConfig
from mla_train.config.overrides import compose_overrides
from mla_train.data.batch import map_tensors
from mla_train.data.sampling import bucketed, shuffled
from mla_train.dataset import Dataset
from mla_train.errors import UserError
from mla_train.heads.generation import Decoding
from mla_train.nn import Decoder, Encoder, beam_search
from mla_train.program import CONF
from mla_train.studies.timing import by_turns
from mla_train.task import build_task
from mla_train.training.optimizers import build_optimizer

START, END, VOCAB = 1, 2, 1000


class LanguageModel(nn.Module):
    """A decoder with random weights that generates up to the greatest length."""

    def __init__(self, kind: AttentionKind, sizes: EncoderConfig) -> None:
        super().__init__()
        attention = AttentionConfig(kind)
        self.embedding = nn.Embedding(VOCAB, sizes.dim)
        self.decoder = Decoder(sizes, attention, attention, RegularizationConfig())
        self.head = nn.Linear(sizes.dim, VOCAB)
        with torch.no_grad():
            self.head.bias[END] = -1e4

    def logits(self, tokens: Tensor, memory: Tensor, padding: Tensor | None, cache: Any = None) -> Tensor:
        """Logits of the token after each, `(rows, length, VOCAB)`."""
        return self.head(self.decoder(self.embedding(tokens), memory, padding, cache))


class UncachedDecoding(Decoding):
    """Computes the keys and values of all tokens again at each step."""

    tokens: Tensor | None = None

    def step(self, tokens: Tensor) -> Tensor:
        """Logits of the next tokens, `(rows, VOCAB)`."""
        new = tokens.unsqueeze(1)
        self.tokens = new if self.tokens is None else torch.cat([self.tokens, new], 1)
        return self.head.logits(self.tokens, self.memory, self.padding)[:, -1]

    def reorder(self, rows: Tensor) -> None:
        """Selects beams."""
        assert self.tokens is not None
        self.tokens = self.tokens[rows]


def generation_speed(model: Any, memory: Tensor, cached: bool, length: int, beams: int) -> tuple[float, int]:
    """Tokens a second of all beams of a `LanguageModel`, and bytes of the cache; memory is `(sources, length, dim)`."""
    state: Any = (Decoding if cached else UncachedDecoding)(model, memory, None)
    start = time.perf_counter()
    hypotheses = beam_search(state, [length] * len(memory), start=START, end=END, beams=beams)
    seconds = time.perf_counter() - start
    assert all(len(best[0].tokens) == length - 1 for best in hypotheses)
    return len(memory) * beams * length / seconds, state.cache.nbytes


def decode(options: argparse.Namespace) -> None:
    """Beam search with MLA's latent cache beside multi-head attention of the same size, and without any cache."""
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

    def measure(name: str, length: int) -> float:
        model, _, without_cache = name.partition(", ")
        speed, cache_bytes[name] = generation_speed(models[model], memory, not without_cache, length, options.beams)
        return speed

    for name in models:  # warm up
        measure(name, 16)
    for length in options.lengths:
        names = [*models, *(["mla, no cache"] if length <= options.uncached_up_to else [])]
        speeds = by_turns({name: partial(measure, name, length) for name in names}, options.rounds)
        full = models["mha"].decoder.cache_width
        for name, speed in speeds.items():
            width = models[name].decoder.cache_width if name in models else 0
            row = [f"{speed:,.0f}", f"{speed / speeds['mha']:.2f}x", f"{4 * width:,}", f"{width / full:.1%}"]
            table.add_row(str(length), name, *row, f"{cache_bytes[name] / 1e6:.1f}")
        table.add_section()
    Console().print(table)


def padding_share(data: Dataset, schedule: Sequence[np.ndarray]) -> float:
    """Share of padding among the tokens of an epoch's batches."""
    counts = {"padding": 0, "tokens": 0}

    def count(mask: Tensor) -> Tensor:
        if mask.dim() == 2 and mask.dtype is torch.bool:
            counts["padding"] += int(mask.sum())
            counts["tokens"] += mask.numel()
        return mask

    for rows in tqdm(schedule, leave=False, disable=not sys.stderr.isatty()):
        batch = data.collate([data.train[int(i)] for i in rows], training=False)
        map_tensors(count, batch.inputs)
        # Target texts have no mask: they are padded with token 0.
        map_tensors(lambda tokens: tokens if tokens.is_floating_point() else count(tokens == 0), batch.targets)
    return counts["padding"] / max(1, counts["tokens"])


def batches(options: argparse.Namespace) -> None:
    """Training with batches of similar length and with random batches, both padded to their longest example.

    Forward, backward and optimizer step are timed, without R-Drop, clipping and averaging.
    """
    config = compose_overrides(CONF, options.overrides)
    task = build_task(config)
    data = task.load_data()
    lengths = data.lengths("train")
    if lengths is None:
        raise UserError(
            f"all examples of data={config.data.name} have the same length: choose data with texts, such as task=translation"
        )
    head = data.spec.head
    schedules = {
        "similar length": bucketed(lengths, config.batch_size, config.seed, head.pool, head.even_tokens)(0),
        "random": shuffled(len(lengths), config.batch_size, config.seed)(0),
    }
    model = task.build_model(data.spec)
    optimizer = build_optimizer(model, config)
    done = dict.fromkeys(schedules, 0)

    def steps(name: str) -> float:
        schedule, tokens, start = schedules[name], 0, time.perf_counter()
        for _ in range(options.steps):
            rows = schedule[done[name] % len(schedule)]
            done[name] += 1
            batch = data.collate([data.train[int(i)] for i in rows], training=True)
            total, count = model.head.loss(model(batch), batch)
            (total / count).backward()
            optimizer.step()
            optimizer.zero_grad()
            tokens += model.count_tokens(batch)
        return tokens / (time.perf_counter() - start)

    for name in schedules:  # warm up
        steps(name)
    speeds = by_turns({name: partial(steps, name) for name in schedules}, options.rounds)
    table = Table(title=f"training on {config.data.name}, batches of {config.batch_size}, {config.encoder.dim} wide")
    for column in ("batches", "padding", "tokens/s without padding", "relative to random"):
        table.add_column(column, justify="right")
    for name, speed in speeds.items():
        ratio = f"{speed / speeds['random']:.2f}x"
        table.add_row(name, f"{padding_share(data, schedules[name]):.1%}", f"{speed:,.0f}", ratio)
    Console().print(table)


def patterns(options: argparse.Namespace) -> None:
    """Forward and backward pass of encoders with attention patterns, relative to global attention."""
    sizes = EncoderConfig(options.dim, options.depth, options.heads)
    encoders = {}
    for pattern in ("global", "local_global", "window", "strided"):
        attention = AttentionConfig(pattern=Pattern[pattern], window=options.window)
        encoders[pattern] = Encoder(sizes, attention, RegularizationConfig())
    title = f"{options.dim} wide, {options.depth} blocks, {options.heads} heads, window {options.window}, "
    table = Table(title=title + f"batches of {options.examples}, {options.threads} threads")
    for column in ("length", "pattern", "seconds", "relative to global"):
        table.add_column(column, justify="right")

    def measure(encoder: Encoder, x: Tensor) -> float:
        start = time.perf_counter()
        encoder(x).sum().backward()
        return time.perf_counter() - start

    for length in options.lengths:
        x = torch.randn(options.examples, length, options.dim)
        for encoder in encoders.values():  # warm up
            measure(encoder, x)
        times = by_turns({name: partial(measure, encoder, x) for name, encoder in encoders.items()}, options.rounds)
        for name, seconds in times.items():
            table.add_row(f"{length}", name, f"{seconds:.3f}", f"{times['global'] / seconds:.2f}x")
        table.add_section()
    Console().print(table)


def main() -> None:
    """Reads the options and runs a benchmark."""
    formatter = argparse.ArgumentDefaultsHelpFormatter
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--threads", type=int, default=torch.get_num_threads(), help="number of CPU threads")
    common.add_argument("--rounds", type=int, default=3, help="number of timed turns of each alternative")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="decode|patterns|batches")

    def add(run: Callable[[argparse.Namespace], None], what: str = "") -> argparse.ArgumentParser:
        what = what or str(run.__doc__)
        part = commands.add_parser(run.__name__, parents=[common], help=what, formatter_class=formatter)
        part.set_defaults(run=run)
        return part

    part = add(decode)
    part.add_argument("--dim", type=int, default=256, help="width")
    part.add_argument("--depth", type=int, default=4, help="blocks")
    part.add_argument("--heads", type=int, default=8, help="attention heads")
    part.add_argument("--beams", type=int, default=5, help="beams a source")
    part.add_argument("--sources", type=int, default=16, help="sources decoded together")
    part.add_argument("--memory", type=int, default=32, help="tokens of each source")
    part.add_argument("--lengths", type=int, nargs="+", default=[64, 256], help="generated tokens")
    part.add_argument("--uncached-up-to", type=int, default=64, help="longest length also decoded without a cache")
    part = add(patterns)
    part.add_argument("--dim", type=int, default=64, help="width")
    part.add_argument("--depth", type=int, default=2, help="blocks")
    part.add_argument("--heads", type=int, default=4, help="attention heads")
    part.add_argument("--examples", type=int, default=2, help="sequences in a batch")
    part.add_argument("--window", type=int, default=32, help="width of windows: positions to each side")
    part.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048], help="tokens")
    part = add(batches, "training with batches of similar length and with random batches")
    part.add_argument("--steps", type=int, default=40, help="number of steps in a turn")
    part.add_argument("overrides", nargs="*", help="options of train.py")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        options.run(options)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

"""Times what the project claims to be fast: `python scripts/benchmark.py decode`, `... patterns`, `... batches task=translation`.

All ways are timed in one run, by turns, and medians are compared: a machine's mood then touches all alike.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from mla_train.data.module import DataModule
from mla_train.training.build import build_data, build_task
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from tqdm import tqdm

from mla_train.config import AttentionConfig, AttentionKind, EncoderConfig, Pattern, RegularizationConfig
from mla_train.config.compose import explain_error, to_typed_config
from mla_train.data.sampling import bucketed, shuffled
from mla_train.errors import UserError
from mla_train.nn import Decoder, Encoder, beam_search
from mla_train.studies.timing import by_turns
from mla_train.training.optimizers import build_optimizer

CONF = Path(__file__).resolve().parent.parent / "conf"
START, END, VOCAB = 1, 2, 1000


class Writer(nn.Module):
    """A decoder with random weights that writes until it must stop.

    Args:
        kind: Of its attention.
        sizes: Of its blocks.
    """

    def __init__(self, kind: AttentionKind, sizes: EncoderConfig) -> None:
        super().__init__()
        attention = AttentionConfig(kind)
        self.embedding = nn.Embedding(VOCAB, sizes.dim)
        self.decoder = Decoder(sizes, attention, attention, RegularizationConfig())
        self.head = nn.Linear(sizes.dim, VOCAB)
        with torch.no_grad():
            self.head.bias[END] = -1e4


class DecoderState:
    """A decoding under way.

    Args:
        writer: Which writes.
        memory: What it looks at, `(sources, length, dim)`.
        cached: Remember earlier tokens instead of reading them again at each step.
    """

    def __init__(self, writer: Writer, memory: Tensor, cached: bool) -> None:
        self.writer, self.memory = writer, memory
        self.cache = writer.decoder.new_cache() if cached else None
        self.tokens: Tensor | None = None
        self.most_bytes = 0

    def step(self, tokens: Tensor) -> Tensor:
        """Scores of the next tokens, `(rows, VOCAB)`."""
        new = tokens.unsqueeze(1)
        if self.cache is None:
            new = self.tokens = new if self.tokens is None else torch.cat([self.tokens, new], 1)
        read = self.writer.decoder(self.writer.embedding(new), self.memory, None, self.cache)
        if self.cache is not None:
            self.most_bytes = max(self.most_bytes, self.cache.nbytes)
        return self.writer.head(read[:, -1])

    def reorder(self, rows: Tensor) -> None:
        """Keeps these beams."""
        if self.cache is not None:
            self.cache.reorder(rows)
        elif self.tokens is not None:
            self.tokens = self.tokens[rows]

    def keep(self, sources: Tensor) -> None:
        """Keeps these sources."""
        self.memory = self.memory[sources]
        if self.cache is not None:
            self.cache.keep(sources)


def written(writer: Writer, memory: Tensor, cached: bool, length: int, beams: int) -> tuple[float, int]:
    """Tokens of all beams that are written in a second, and the most bytes that were remembered.

    Args:
        writer: Which writes.
        memory: What it looks at.
        cached: Remember earlier tokens.
        length: Tokens of each sequence.
        beams: Of each source.
    """
    state = DecoderState(writer, memory, cached)
    began = time.perf_counter()
    found = beam_search(state, [length] * len(memory), start=START, end=END, beams=beams)
    seconds = time.perf_counter() - began
    assert all(len(best[0].tokens) == length - 1 for best in found)
    return len(memory) * beams * length / seconds, state.most_bytes


def decode(options: argparse.Namespace) -> None:
    """Beam search with MLA's latent cache beside multi-head attention of the same size, and without any cache."""
    sizes = EncoderConfig(dim=options.dim, depth=options.depth, num_heads=options.heads)
    torch.manual_seed(0)
    writers = {kind: Writer(kind, sizes).eval() for kind in (AttentionKind.mla, AttentionKind.mha)}
    memory = torch.randn(options.sources, options.memory, options.dim)
    table = Table(
        title=f"beam search, {options.beams} beams, {options.sources} sources of {options.memory} tokens, "
        f"width {options.dim}, {options.depth} blocks, {options.heads} heads, {options.threads} threads",
        caption="bytes a token: of the sequence that is written, all blocks; MB: the most that was remembered, source included",
    )
    for column in ("length", "attention", "tokens/s", "speed", "bytes a token", "share", "MB"):
        table.add_column(column, justify="right")
    full = writers[AttentionKind.mha].decoder.cache_width
    for writer in writers.values():  # warm up
        written(writer, memory, True, 16, options.beams)
    for length in options.lengths:
        ways = {"mla": (AttentionKind.mla, True), "mha": (AttentionKind.mha, True)}
        if length <= options.uncached_up_to:
            ways["mla, no cache"] = (AttentionKind.mla, False)
        held: dict[str, int] = {}

        def once(name: str, length: int = length, ways: Any = ways, held: dict[str, int] = held) -> float:
            kind, cached = ways[name]
            speed, held[name] = written(writers[kind], memory, cached, length, options.beams)
            return speed

        speeds = by_turns({name: partial(once, name) for name in ways}, options.rounds)
        for name, speed in speeds.items():
            kind, cached = ways[name]
            width = writers[kind].decoder.cache_width * cached
            row = [f"{speed:,.0f}", f"{speed / speeds['mha']:.2f}x", f"{4 * width:,}", f"{width / full:.1%}"]
            table.add_row(str(length), name, *row, f"{held[name] / 1e6:.1f}")
        table.add_section()
    Console().print(table)


def padding(data: DataModule, plan: Sequence[np.ndarray]) -> float:
    """Share of zeros among the tokens of an epoch's batches."""
    zeros = tokens = 0
    for rows in tqdm(plan, leave=False, disable=not sys.stderr.isatty()):
        batch = data.collate([data.train[int(i)] for i in rows], training=False)
        for side in vars(batch).values():
            if isinstance(side, Tensor) and side.dim() == 2 and not side.is_floating_point():
                zeros, tokens = zeros + int((side == 0).sum()), tokens + side.numel()
    return zeros / tokens


def batches(options: argparse.Namespace) -> None:
    """Training with batches of similar length beside batches of random examples, both padded to their longest.

    Forward, backward and step of the optimizer are timed, without R-Drop, clipping and averaging.
    """
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = to_typed_config(compose("train", options.overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain_error(error)) from error
    data = build_data(config)
    data.setup()
    lengths = data.lengths("train")
    if lengths is None:
        raise UserError(f"the examples of data={config.data.name} all have one length: there is nothing to compare")
    plans = {
        "similar length": bucketed(lengths, config.batch_size, config.seed, data.pool, data.even_tokens)(0),
        "random": shuffled(len(lengths), config.batch_size, config.seed)(0),
    }
    task = build_task(config, data.facts)
    optimizer = build_optimizer(task, config)
    places = dict.fromkeys(plans, 0)

    def steps(name: str) -> float:
        plan, tokens, began = plans[name], 0, time.perf_counter()
        for _ in range(options.steps):
            rows = plan[places[name] % len(plan)]
            places[name] += 1
            batch = data.collate([data.train[int(i)] for i in rows], training=True)
            total, count = task.loss(task(batch), batch)
            (total / count).backward()
            optimizer.step()
            optimizer.zero_grad()
            tokens += task.tokens(batch)
        return tokens / (time.perf_counter() - began)

    for name in plans:  # warm up
        steps(name)
    speeds = by_turns({name: partial(steps, name) for name in plans}, options.rounds)
    table = Table(title=f"training on {config.data.name}, batches of {config.batch_size}, {config.encoder.dim} wide")
    for column in ("batches", "padding", "tokens/s, padding left out", "against random"):
        table.add_column(column, justify="right")
    for name, speed in speeds.items():
        ratio = f"{speed / speeds['random']:.2f}x"
        table.add_row(name, f"{padding(data, plans[name]):.1%}", f"{speed:,.0f}", ratio)
    Console().print(table)


def patterns(options: argparse.Namespace) -> None:
    """One training pass (forward and backward) of encoders whose heads keep to a pattern, beside one where all look at all."""
    sizes = EncoderConfig(options.dim, options.depth, options.heads)
    encoders = {}
    for pattern in ("global", "local_global", "window", "strided"):
        attention = AttentionConfig(pattern=Pattern[pattern], window=options.window)
        encoders[pattern] = Encoder(sizes, attention, RegularizationConfig())
    title = f"{options.dim} wide, {options.depth} blocks, {options.heads} heads, window {options.window}, "
    table = Table(title=title + f"batches of {options.examples}, {options.threads} threads")
    for column in ("length", "pattern", "seconds", "against global"):
        table.add_column(column, justify="right")
    for length in options.lengths:
        x = torch.randn(options.examples, length, options.dim)

        def once(encoder: Encoder, x: Tensor = x) -> float:
            began = time.perf_counter()
            encoder(x).sum().backward()
            return time.perf_counter() - began

        for encoder in encoders.values():  # warm up
            once(encoder)
        times = by_turns({name: partial(once, encoder) for name, encoder in encoders.items()}, options.rounds)
        for name, seconds in times.items():
            table.add_row(f"{length}", name, f"{seconds:.3f}", f"{times['global'] / seconds:.2f}x")
        table.add_section()
    Console().print(table)


def main() -> None:
    """Reads the options and times."""
    shape = argparse.ArgumentDefaultsHelpFormatter
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch")
    common.add_argument("--rounds", type=int, default=3, help="timed turns of each way")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="decode|patterns|batches")
    part = commands.add_parser("decode", parents=[common], help=decode.__doc__, formatter_class=shape)
    part.set_defaults(run=decode)
    for name, default, what in (
        ("dim", 256, "width"),
        ("depth", 4, "blocks"),
        ("heads", 8, "attention heads"),
        ("beams", 5, "beams a source"),
        ("sources", 16, "sources decoded together"),
        ("memory", 32, "tokens of each source"),
        ("uncached-up-to", 64, "longest length that is also decoded without a cache"),
    ):
        part.add_argument(f"--{name}", type=int, default=default, help=what)
    part.add_argument("--lengths", type=int, nargs="+", default=[64, 256], help="tokens that are written")
    part = commands.add_parser("patterns", parents=[common], help=patterns.__doc__, formatter_class=shape)
    part.set_defaults(run=patterns)
    for name, default, what in (
        ("dim", 64, "width"),
        ("depth", 2, "blocks"),
        ("heads", 4, "attention heads"),
        ("examples", 2, "sequences in a batch"),
        ("window", 32, "steps to each side that window heads see"),
    ):
        part.add_argument(f"--{name}", type=int, default=default, help=what)
    part.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048], help="tokens")
    part = commands.add_parser(
        "batches",
        parents=[common],
        help="training with batches of similar length beside random ones",
        formatter_class=shape,
    )
    part.set_defaults(run=batches)
    part.add_argument("--steps", type=int, default=40, help="steps in a turn")
    part.add_argument("overrides", nargs="*", help="as for train.py")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        options.run(options)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

"""Times decoding, attention patterns and batches: `python scripts/benchmark.py decode`, `... patterns`, `... batches`.

All alternatives are timed by turns in one process, and medians are compared, so that the load of the machine affects all alike.
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
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from tqdm import tqdm

from mla_train.config import AttentionConfig, AttentionKind, EncoderConfig, Pattern, RegularizationConfig
from mla_train.config.compose import explain_error, to_typed_config
from mla_train.data.batch import map_tensors
from mla_train.data.sampling import bucketed, shuffled
from mla_train.dataset import Dataset
from mla_train.errors import UserError
from mla_train.nn import Decoder, Encoder, beam_search
from mla_train.studies.timing import by_turns
from mla_train.task import build_task
from mla_train.training.optimizers import build_optimizer

CONF = Path(__file__).resolve().parent.parent / "conf"
START, END, VOCAB = 1, 2, 1000


class LanguageModel(nn.Module):
    """A decoder with random weights that generates up to the greatest length.

    Args:
        kind: Kind of attention.
        sizes: Sizes of the decoder.
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
    """State of a beam search.

    Args:
        model: Model that generates.
        memory: Encoded sources, `(sources, length, dim)`.
        cached: Whether keys and values are cached instead of computed again at each step.
    """

    def __init__(self, model: LanguageModel, memory: Tensor, cached: bool) -> None:
        self.model, self.memory = model, memory
        self.cache = model.decoder.new_cache() if cached else None
        self.tokens: Tensor | None = None
        self.peak_bytes = 0

    def step(self, tokens: Tensor) -> Tensor:
        """Logits of the next tokens, `(rows, VOCAB)`."""
        new = tokens.unsqueeze(1)
        if self.cache is None:
            new = self.tokens = new if self.tokens is None else torch.cat([self.tokens, new], 1)
        states = self.model.decoder(self.model.embedding(new), self.memory, None, self.cache)
        if self.cache is not None:
            self.peak_bytes = max(self.peak_bytes, self.cache.nbytes)
        return self.model.head(states[:, -1])

    def reorder(self, rows: Tensor) -> None:
        """Selects beams."""
        if self.cache is not None:
            self.cache.reorder(rows)
        elif self.tokens is not None:
            self.tokens = self.tokens[rows]

    def keep(self, sources: Tensor) -> None:
        """Selects sources."""
        self.memory = self.memory[sources]
        if self.cache is not None:
            self.cache.keep(sources)


def generation_speed(model: LanguageModel, memory: Tensor, cached: bool, length: int, beams: int) -> tuple[float, int]:
    """Generated tokens of all beams a second, and the peak size of the cache in bytes.

    Args:
        model: Model that generates.
        memory: Encoded sources, `(sources, length, dim)`.
        cached: Whether keys and values are cached.
        length: Number of tokens of each sequence.
        beams: Number of beams of each source.
    """
    state = DecoderState(model, memory, cached)
    start = time.perf_counter()
    hypotheses = beam_search(state, [length] * len(memory), start=START, end=END, beams=beams)
    seconds = time.perf_counter() - start
    assert all(len(best[0].tokens) == length - 1 for best in hypotheses)
    return len(memory) * beams * length / seconds, state.peak_bytes


def decode(options: argparse.Namespace) -> None:
    """Beam search with MLA's latent cache beside multi-head attention of the same size, and without any cache."""
    sizes = EncoderConfig(dim=options.dim, depth=options.depth, num_heads=options.heads)
    torch.manual_seed(0)
    models = {kind: LanguageModel(kind, sizes).eval() for kind in (AttentionKind.mla, AttentionKind.mha)}
    memory = torch.randn(options.sources, options.memory, options.dim)
    table = Table(
        title=f"beam search, {options.beams} beams, {options.sources} sources of {options.memory} tokens, "
        f"width {options.dim}, {options.depth} blocks, {options.heads} heads, {options.threads} threads",
        caption="bytes a token: cache of the generated sequence, all blocks; MB: peak of the whole cache, source included",
    )
    for column in ("length", "attention", "tokens/s", "speed", "bytes a token", "share", "MB"):
        table.add_column(column, justify="right")
    full = models[AttentionKind.mha].decoder.cache_width
    for model in models.values():  # warm up
        generation_speed(model, memory, True, 16, options.beams)
    for length in options.lengths:
        alternatives = {"mla": (AttentionKind.mla, True), "mha": (AttentionKind.mha, True)}
        if length <= options.uncached_up_to:
            alternatives["mla, no cache"] = (AttentionKind.mla, False)
        peak_bytes: dict[str, int] = {}

        def measure(
            name: str, length: int = length, alternatives: Any = alternatives, peak: dict[str, int] = peak_bytes
        ) -> float:
            kind, cached = alternatives[name]
            speed, peak[name] = generation_speed(models[kind], memory, cached, length, options.beams)
            return speed

        speeds = by_turns({name: partial(measure, name) for name in alternatives}, options.rounds)
        for name, speed in speeds.items():
            kind, cached = alternatives[name]
            width = models[kind].decoder.cache_width * cached
            row = [f"{speed:,.0f}", f"{speed / speeds['mha']:.2f}x", f"{4 * width:,}", f"{width / full:.1%}"]
            table.add_row(str(length), name, *row, f"{peak_bytes[name] / 1e6:.1f}")
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
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = to_typed_config(compose("train", options.overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain_error(error)) from error
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
    for length in options.lengths:
        x = torch.randn(options.examples, length, options.dim)

        def measure(encoder: Encoder, x: Tensor = x) -> float:
            start = time.perf_counter()
            encoder(x).sum().backward()
            return time.perf_counter() - start

        for encoder in encoders.values():  # warm up
            measure(encoder)
        times = by_turns({name: partial(measure, encoder) for name, encoder in encoders.items()}, options.rounds)
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
    part = commands.add_parser("decode", parents=[common], help=decode.__doc__, formatter_class=formatter)
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
    part.add_argument("--lengths", type=int, nargs="+", default=[64, 256], help="generated tokens")
    part = commands.add_parser("patterns", parents=[common], help=patterns.__doc__, formatter_class=formatter)
    part.set_defaults(run=patterns)
    for name, default, what in (
        ("dim", 64, "width"),
        ("depth", 2, "blocks"),
        ("heads", 4, "attention heads"),
        ("examples", 2, "sequences in a batch"),
        ("window", 32, "width of windows: positions to each side"),
    ):
        part.add_argument(f"--{name}", type=int, default=default, help=what)
    part.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048], help="tokens")
    part = commands.add_parser(
        "batches",
        parents=[common],
        help="training with batches of similar length and with random batches",
        formatter_class=formatter,
    )
    part.set_defaults(run=batches)
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

"""Attention patterns beside global attention, and batches of similar length beside random ones."""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from tqdm import tqdm

from mla_train.config import AttentionConfig, EncoderConfig, Pattern, RegularizationConfig
from mla_train.config.overrides import compose_overrides
from mla_train.data.batch import map_tensors
from mla_train.data.sampling import bucketed, shuffled
from mla_train.dataset import Dataset
from mla_train.errors import UserError
from mla_train.nn import Encoder
from mla_train.program import CONF
from mla_train.studies.timing import by_turns
from mla_train.task import build_task
from mla_train.training.optimizers import build_optimizer


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

"""Time and memory of a training step as sequences grow longer: global attention, a window, an array of latents."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

KINDS = ("global", "window", "array")
STEP = "from benchmarks.growth import one_step; one_step({kind!r}, {length})"


def one_step(kind: str, length: int) -> None:
    """Prints seconds and peak memory of a step on one sequence, width 64, 2 blocks, as JSON."""
    import resource

    import torch

    from mla_train.config import AttentionConfig, EncoderConfig, Latent, Pattern, RegularizationConfig
    from mla_train.nn import Encoder

    latent = Latent.array if kind == "array" else Latent.plain
    pattern = Pattern.window if kind == "window" else Pattern["global"]
    encoder = Encoder(
        EncoderConfig(dim=64, depth=2, num_heads=4, latent=latent),
        AttentionConfig(pattern=pattern, window=32),
        RegularizationConfig(),
    )
    x = torch.randn(1, length, 64, requires_grad=True)
    encoder(x[:, :64]).sum().backward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        encoder(x).sum().backward()
        seconds.append(time.perf_counter() - start)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    print(json.dumps({"seconds": sorted(seconds)[1], "megabytes": used / unit}))


def show_growth(lengths: Sequence[int]) -> None:
    """Prints a table; each step runs in a process of its own, whose memory is measured."""
    from benchmarks.whole import environment

    table = Table(title="one training step, one sequence, width 64, 2 blocks, one thread")
    for column in ("length", *(f"{kind}, {unit}" for kind in KINDS for unit in ("ms", "MB"))):
        table.add_column(column, justify="right")
    for length in lengths:
        row = [f"{length:,}"]
        for kind in KINDS:
            done = subprocess.run(
                [sys.executable, "-c", STEP.format(kind=kind, length=length)],
                env=environment(1), capture_output=True, text=True, check=True,
            )  # fmt: skip
            step = json.loads(done.stdout)
            row += [f"{1e3 * step['seconds']:,.0f}", f"{step['megabytes']:,.0f}"]
        table.add_row(*row)
    Console().print(table)

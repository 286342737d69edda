"""Does it help? Trains every option of conf/experiment/toolbox beside the default and writes docs/toolbox.md.

`python scripts/toolbox.py` takes hours and goes on where it stopped; `--only NAME` takes some options,
`--seeds 0` a single seed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import matplotlib
import torch
from hydra import compose, initialize_config_dir
from mla_train.data.module import DataModule
from mla_train.training.build import build_data, build_task
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from mla_train.config.compose import to_typed_config
from mla_train.studies.jobs import Job, run_jobs
from mla_train.training.auxiliary_losses import forward_with_auxiliary_losses
from mla_train.training.optimizers import build_optimizer

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = ROOT / "conf" / "experiment" / "toolbox"
MARK = "<!-- What follows is written by scripts/toolbox.py. -->"
SETTINGS = {
    "digits": ["encoder=tiny", "encoder.num_heads=4", "epochs=40"],
    "traffic": ["task=forecasting", "encoder.num_heads=4", "epochs=4"],
}
"""What all options are tried on: both are bundled."""
ROUNDS, STEPS = 5, 3
"""Turns of each option when steps are timed, and steps in a turn."""


@dataclass
class Row:
    """What an option reached.

    Attributes:
        name: Of its file.
        scores: On test, one a seed.
        parameters: Of the network.
    """

    name: str
    scores: list[float]
    parameters: int


@dataclass
class Cost:
    """What training takes.

    Attributes:
        seconds: Of an epoch, without validation.
        memory: That a step holds at its peak, weights and libraries left out, in MiB.
    """

    seconds: float
    memory: float


def read(name: str, jobs: list[Job]) -> Row | None:
    """The row of an option, None where a run is not finished."""
    results = [job.results for job in jobs]
    if None in results:
        return None
    metric = str(results[0]["monitor"]["name"]).removeprefix("val/")  # type: ignore[index]
    found: list[dict[str, Any]] = [result for result in results if result is not None]
    return Row(
        name,
        [result["metrics"]["test"][metric] for result in found],
        found[0]["model"]["parameters"],
    )


def words_of(data: str, name: str) -> list[str]:
    """The command line of an option, but for its seed."""
    return [*SETTINGS[data], *([] if name == "default" else [f"experiment=toolbox/{name}"])]


def measure(words: dict[str, list[str]]) -> dict[str, Cost]:
    """Times training steps of each option by turns, so that a machine's mood touches all alike.

    Args:
        words: Of each option; all have the same data.
    """
    steps, found = {}, {}
    data: DataModule | None = None
    for name, line in words.items():
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = to_typed_config(compose("train", line))
        if data is None:
            data = build_data(config)
            data.setup()
        steps[name] = step_of(config, data)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in tqdm(range(1 + ROUNDS), leave=False, disable=not sys.stderr.isatty()):
        for name, step in steps.items():
            began = time.perf_counter()
            for _ in range(STEPS):
                step()
            if turn:  # the first warms up
                seconds[name].append((time.perf_counter() - began) / STEPS)
    for name, step in steps.items():
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            step()
        events = sorted(seen.events() or [], key=lambda event: event.time_range.end)
        most = max(accumulate(event.self_cpu_memory_usage for event in events), default=0)
        assert data is not None
        epoch = median(seconds[name]) * len(data.train) / config.batch_size
        found[name] = Cost(epoch, most / 2**20)
    return found


def step_of(config: Any, data: DataModule) -> Callable[[], None]:
    """A training step on one batch, without clipping and averaging."""
    torch.manual_seed(0)
    task = build_task(config, data.facts)
    optimizer = build_optimizer(task, config)
    batch = data.collate([data.train[i] for i in range(config.batch_size)], training=True)

    def step() -> None:
        outputs, terms = forward_with_auxiliary_losses(task, batch)
        total, count = task.loss(outputs, batch)
        if config.regularization.r_drop:
            total = total + task.divergence(outputs, task(batch), batch)
        (total / count + sum(term.weight * terms[term.name] for term in task.auxiliary_losses)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def table(rows: list[Row], costs: dict[str, Cost], metric: str) -> str:
    """Markdown, one line an option.

    Args:
        rows: The default first.
        costs: By the names of rows.
        metric: Name of the scores.
    """
    default = rows[0]
    lines = [f"| option | {metric} on test | against the default | s an epoch | MiB a step | parameters |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        change = "" if row is default else difference(row.scores, default.scores)
        cost = costs[row.name]
        numbers = f"{cost.seconds:.2f} | {cost.memory:.1f} | {row.parameters:,}"
        lines.append(f"| `{row.name}` | {spread(row.scores)} | {change} | {numbers} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


def difference(scores: list[float], default: list[float]) -> str:
    """Mean and standard deviation of what pairs of the same seed differ by."""
    pairs = [a - b for a, b in zip(scores, default, strict=True)]
    return f"{mean(pairs):+.4f}" + (f" ± {stdev(pairs):.4f}" if len(pairs) > 1 else "")


def draw(rows: list[Row], metric: str, data: str, file: Path) -> None:
    """A dot a seed, a bar at the mean; the default as a line.

    Args:
        rows: The default first.
        metric: Name of the scores.
        data: Of what.
        file: The PNG to write.
    """
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.22 * len(rows)), layout="constrained")
    for place, row in enumerate(reversed(rows)):
        axes.plot(row.scores, [place] * len(row.scores), "o", color="tab:blue", markersize=4, alpha=0.6)
        axes.plot([mean(row.scores)], [place], "|", color="black", markersize=12, markeredgewidth=2)
    axes.axvline(mean(rows[0].scores), color="tab:orange", linewidth=1)
    axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)], fontsize=8)
    axes.set(xlabel=f"{metric} on test", title=f"{data}, {len(rows[0].scores)} seeds; the line is the default")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main() -> None:
    """Runs what is missing and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = sorted(file.stem for file in OPTIONS.glob("*.yaml"))
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="NAME", help="options to try")
    parser.add_argument("--data", nargs="+", default=list(SETTINGS), choices=list(SETTINGS), help="on which data")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--parallel", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, help="CPU threads of each run; the machine's are shared out by default")
    parser.add_argument("--runs", type=Path, default=Path("runs/toolbox"), help="where runs are kept")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "toolbox.md", help="the page to write")
    parser.add_argument("more", nargs="*", metavar="KEY=VALUE", help="for all runs, as for train.py")
    options = parser.parse_intermixed_args()
    plan = {
        (data, name): [
            Job([*words_of(data, name), f"seed={seed}", *options.more], options.runs / data / name / str(seed))
            for seed in options.seeds
        ]
        for data in options.data
        for name in ("default", *options.only)
    }
    failed = run_jobs(
        [job for jobs in plan.values() for job in jobs], ROOT / "train.py", options.parallel, options.threads
    )
    for folder, message in failed.items():
        print(f"{folder}: {message}", file=sys.stderr)
    parts = [MARK]
    for data in options.data:
        rows = [row for name in ("default", *options.only) if (row := read(name, plan[data, name])) is not None]
        if not rows or rows[0].name != "default":
            continue
        results = plan[data, "default"][0].results
        assert results is not None
        metric = str(results["monitor"]["name"]).removeprefix("val/")
        torch.set_num_threads(1)
        costs = measure({row.name: [*words_of(data, row.name), *options.more] for row in rows})
        picture = options.out.with_name(f"{options.out.stem}_{data}.png")
        draw(rows, metric, data, picture)
        how = " ".join(SETTINGS[data])
        best = "higher is better" if results["monitor"]["mode"] == "max" else "lower is better"
        parts.append(
            f"## {data}\n\n`{how}`, {metric}: {best}.\n\n{table(rows, costs, metric)}\n\n![{data}]({picture.name})"
        )
    before = options.out.read_text().split(MARK)[0] if options.out.is_file() else "# The toolbox\n\n"
    options.out.write_text(before + "\n\n".join(parts) + "\n")
    print(f"wrote {options.out}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

"""Trains every option of conf/experiment/toolbox and the default, and writes their scores and costs to docs/toolbox.md.

`python scripts/toolbox.py` takes hours; the same command resumes it. `--only NAME` selects options, `--seeds 0` seeds.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from statistics import mean, stdev

import matplotlib
import torch
from torch.profiler import ProfilerActivity, profile

from mla_train.config import TrainConfig
from mla_train.config.overrides import compose_overrides
from mla_train.dataset import Dataset
from mla_train.figures import save_figure
from mla_train.program import CONF, TRAIN
from mla_train.studies.comparison import VariantResults, paired, spread
from mla_train.studies.jobs import Job, run_jobs
from mla_train.studies.timing import by_turns
from mla_train.task import Task, build_task
from mla_train.training.auxiliary_losses import forward_with_auxiliary_losses
from mla_train.training.module import TrainingModule
from mla_train.training.optimizers import build_optimizer

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = CONF / "experiment" / "toolbox"
MARK = "<!-- What follows is written by scripts/toolbox.py. -->"
SETTINGS = {
    "digits": ["encoder=tiny", "encoder.num_heads=4", "epochs=40"],
    "traffic": ["task=forecasting", "encoder.num_heads=4", "epochs=4"],
}
"""Bundled data sets that all options are trained on, and their overrides."""
ROUNDS, STEPS = 5, 3
"""Number of timed turns of each option, and of training steps in a turn."""


@dataclass
class Cost:
    """Cost of training.

    Attributes:
        seconds: Seconds of an epoch, without validation.
        memory: Peak memory of a step without weights and libraries, in MiB.
    """

    seconds: float
    memory: float


def read(name: str, jobs: list[Job]) -> VariantResults | None:
    """The results of an option; None if a run is not finished."""
    runs = {seed: results for seed, job in enumerate(jobs) if (results := job.results) is not None}
    return VariantResults(name, runs[0]["model"]["parameters"], runs) if len(runs) == len(jobs) else None


def option_overrides(data: str, name: str) -> list[str]:
    """Overrides of an option, without the seed."""
    return [*SETTINGS[data], *([] if name == "default" else [f"experiment=toolbox/{name}"])]


def measure(overrides: dict[str, list[str]]) -> dict[str, Cost]:
    """Times training steps of each option by turns, and measures their memory; all options have the same data."""
    steps, epochs = {}, {}
    data: Dataset | None = None
    for name, line in overrides.items():
        config = compose_overrides(CONF, line)
        task = build_task(config)
        data = data or task.load_data()
        steps[name] = training_step(config, task, data)
        epochs[name] = len(data.train) / config.batch_size
    for step in steps.values():  # warm up
        step()
    seconds = by_turns({name: partial(step_seconds, step) for name, step in steps.items()}, ROUNDS)
    return {name: Cost(seconds[name] * epochs[name], peak_memory(step)) for name, step in steps.items()}


def training_step(config: TrainConfig, task: Task, data: Dataset) -> Callable[[], None]:
    """A training step on one batch, without clipping and averaging."""
    torch.manual_seed(0)
    module = TrainingModule(config, task, task.build_model(data.spec))
    head = module.model.head
    optimizer = build_optimizer(module, config)
    batch = data.collate([data.train[i] for i in range(config.batch_size)], training=True)

    def step() -> None:
        outputs, auxiliary = forward_with_auxiliary_losses(module, batch)
        total, count = head.loss(outputs, batch)
        if config.regularization.r_drop:
            total = total + head.r_drop_loss(outputs, module(batch), batch)
        (total / count + sum(loss.weight * auxiliary[loss.name] for loss in module.auxiliary_losses)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def step_seconds(step: Callable[[], None]) -> float:
    """Seconds of a step, averaged over a turn."""
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - start) / STEPS


def peak_memory(step: Callable[[], None]) -> float:
    """Peak of the memory that a step allocates, in MiB."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = sorted(profiler.events() or [], key=lambda event: event.time_range.end)
    return max(accumulate(event.self_cpu_memory_usage for event in events), default=0) / 2**20


def table(rows: list[VariantResults], costs: dict[str, Cost], metric: str) -> str:
    """A Markdown table with one line for each option, the default first."""
    default = rows[0]
    lines = [f"| option | {metric} on test | difference to default | s/epoch | MiB/step | parameters |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        change = "" if row is default else difference(default, row)
        cost = costs[row.name]
        numbers = f"{cost.seconds:.2f} | {cost.memory:.1f} | {row.parameters:,}"
        lines.append(f"| `{row.name}` | {spread(row.values)} | {change} | {numbers} |")
    return "\n".join(lines)


def difference(default: VariantResults, option: VariantResults) -> str:
    """Mean and standard deviation of the differences between runs with the same seed."""
    difference = paired(default.scores, option.scores)
    assert difference is not None
    pairs = difference.pairs
    return f"{mean(pairs):+.4f}" + (f" ± {stdev(pairs):.4f}" if len(pairs) > 1 else "")


def draw(rows: list[VariantResults], metric: str, data: str, file: Path) -> None:
    """Draws a dot for each seed, a bar at the mean, and the default, which is the first row, as a line."""
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.22 * len(rows)), layout="constrained")
    for height, row in enumerate(reversed(rows)):
        axes.plot(row.values, [height] * len(row.values), "o", color="tab:blue", markersize=4, alpha=0.6)
        axes.plot([mean(row.values)], [height], "|", color="black", markersize=12, markeredgewidth=2)
    axes.axvline(mean(rows[0].values), color="tab:orange", linewidth=1)
    axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)], fontsize=8)
    axes.set(xlabel=f"{metric} on test", title=f"{data}, {len(rows[0].values)} seeds; the line is the default")
    axes.grid(axis="x", alpha=0.3)
    save_figure(figure, file, 110)
    plt.close(figure)


def main() -> None:
    """Trains what is missing and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = sorted(file.stem for file in OPTIONS.glob("*.yaml"))
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="NAME", help="options to train")
    parser.add_argument("--data", nargs="+", default=list(SETTINGS), choices=list(SETTINGS), help="bundled datasets")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="seeds of each option (default: 0 1 2)")
    parser.add_argument("--parallel", type=int, default=1, help="runs at a time (n_jobs of compare.py, sweep.py)")
    parser.add_argument(
        "--threads", type=int, help="CPU threads of each run (default: those of the machine divided by --parallel)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/toolbox"), help="folder of the runs")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "toolbox.md", help="Markdown file to write")
    parser.add_argument("more", nargs="*", metavar="KEY=VALUE", help="options of train.py for all runs")
    options = parser.parse_intermixed_args()
    plan = {
        (data, name): [
            Job([*option_overrides(data, name), f"seed={seed}", *options.more], options.runs / data / name / str(seed))
            for seed in options.seeds
        ]
        for data in options.data
        for name in ("default", *options.only)
    }
    failed = run_jobs([job for jobs in plan.values() for job in jobs], TRAIN, options.parallel, options.threads)
    for folder, message in failed.items():
        print(f"{folder}: {message}", file=sys.stderr)
    parts = [MARK]
    for data in options.data:
        rows = [row for name in ("default", *options.only) if (row := read(name, plan[data, name])) is not None]
        if not rows or rows[0].name != "default":
            continue
        score = rows[0].scores[0]
        torch.set_num_threads(1)
        costs = measure({row.name: [*option_overrides(data, row.name), *options.more] for row in rows})
        figure = options.out.with_name(f"{options.out.stem}_{data}.png")
        draw(rows, score.metric, data, figure)
        settings = " ".join(SETTINGS[data])
        best = "higher is better" if score.higher_is_better else "lower is better"
        parts.append(
            f"## {data}\n\n`{settings}`, {score.metric}: {best}.\n\n{table(rows, costs, score.metric)}\n\n"
            f"![{data}]({figure.name})"
        )
    before = options.out.read_text().split(MARK)[0] if options.out.is_file() else "# The toolbox\n\n"
    options.out.write_text(before + "\n\n".join(parts) + "\n")
    print(f"wrote {options.out}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

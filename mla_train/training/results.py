"""results.json, which users, comparisons and sweeps read, and the table at the end of a run."""

import json
import platform
import shlex
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mla_train.baselines import Baseline
from mla_train.checks import Check, plain_values
from mla_train.config import TrainConfig
from mla_train.config.stored import read_json
from mla_train.dataset import Dataset
from mla_train.errors import UserError, printable, reported
from mla_train.heads.base import rows_of
from mla_train.masking import mask, mask_values
from mla_train.program import program
from mla_train.safe_files import atomic_path, write_atomically
from mla_train.training.checkpoints import Checkpoints
from mla_train.training.confidence import compare_to_baseline, score_intervals
from mla_train.training.module import Evaluation, TrainingModule
from mla_train.training.progress import RunProgress
from mla_train.training.run_folder import RunFolder
from mla_train.training.scores import advice, are_scores, kept_start_sentence, read_score, scored_split, written

PACKAGES = (
    "torch", "lightning", "hydra-core", "torchvision", "scikit-learn", "numpy", "datasets", "tokenizers", "sacrebleu",
    "rouge-score", "pandas", "autots", "wandb",
)  # fmt: skip
NEEDED = {
    "task": str, "data": str, "attention": str, "seed": int, "metrics": dict, "directions": dict, "monitor": dict,
    "baselines": dict, "model": dict, "speed": dict, "examples": dict, "environment": dict, "debug": list, "details": dict,
}  # fmt: skip
"""Contents of every results.json, and their types."""
REMEDY = "Remove it, and resume the run to write it again"
MOST_COLUMNS = 5  # of the table; results.json has all metrics


def write_results(
    config: TrainConfig,
    folder: RunFolder,
    module: TrainingModule,
    data: Dataset,
    evaluations: dict[str, Evaluation],
    baselines: dict[str, Baseline],
    begun: dict[str, Any] | None,
    checkpoints: Checkpoints,
    progress: RunProgress,
    checks: Sequence[Check] = (),
) -> dict[str, Any]:
    """Writes predictions.jsonl of the test split and, last of all, results.json, which marks the run as finished.

    Args:
        config: Full config of the run.
        folder: Run folder.
        module: Trained network, with the selected weights.
        data: Data set of the run.
        evaluations: Evaluation of val, and of test.
        baselines: Baselines.
        begun: How the start compares to what training made of it.
        checkpoints: Which epoch was selected.
        progress: Time and speed of the training.
        checks: Checks of the data.

    Returns:
        Contents of results.json.
    """
    task, model = module.task, module.model
    test = evaluations.get("test")
    if test is not None:
        with atomic_path(folder.path / "predictions.jsonl") as part, part.open("w", encoding="utf-8") as stream:
            for record in task.prediction_rows(model, test.predictions, data):
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")
    size, val = next(model.parameters()).element_size(), evaluations["val"]
    of_test, sure = {}, not config.debug.fast
    if test is not None:  # of what was scored: fewer examples where test is limited
        scored = test.predictions["index"]
        is_whole = len(scored) == data.count("test")
        of_test = {name: each.test if is_whole else rows_of(each.test, scored) for name, each in baselines.items()}
    results = {
        "task": config.task.name,
        "data": config.data.name,
        "attention": task.architecture,
        "seed": config.seed,
        "metrics": {split: evaluation.metrics for split, evaluation in evaluations.items()},
        "intervals": score_intervals(model.head, test.predictions) if sure and test is not None else {},
        "val_intervals": score_intervals(model.head, val.predictions) if sure else {},
        "directions": {"loss": "min", **module.directions},
        "units": dict(model.head.units),
        "units_note": model.head.units_note,
        "monitor": {
            "name": f"val/{module.monitor}",
            "mode": module.directions[module.monitor],
            "best": checkpoints.best_score,
            "epoch": checkpoints.best_epoch,
        },
        "epochs": checkpoints.finished_epochs if config.budget_minutes else config.epochs,
        "start": begun,
        "init": checkpoints.init,
        "baselines": {name: model.head.metrics(predictions) for name, predictions in of_test.items()},
        "baseline_choices": {
            name: {
                "chosen": each.chosen,
                "seconds": each.seconds,
                "val": model.head.metrics(each.val) if each.val else {},
            }
            for name, each in baselines.items()
        },
        "comparison": None if test is None else compare_to_baseline(model.head, test.predictions, of_test),
        "model": {**model.count_parameters(), "cache_bytes_per_token": model.cache_width * size},
        "speed": {
            "seconds": round(progress.wall_seconds, 2),
            "examples_per_second": round(progress.examples_per_second, 1),
            "tokens_per_second": round(progress.tokens_per_second, 1),
        },
        "threshold": getattr(model.head, "threshold", None),
        "examples": {split: data.count(split) for split in ("train", "val", "test")},
        "fingerprint": checkpoints.data,
        "notes": data.notes,
        "data_checks": plain_values(checks),
        "environment": environment(folder.config.read_text().splitlines()[0].removeprefix("# ")),
        "debug": [name for name in ("overfit", "fast", "profile") if getattr(config.debug, name)],
        "details": {} if test is None else task.details(model, test.predictions),
    }
    write_atomically(folder.results, json.dumps(mask_values(results), indent=2, ensure_ascii=False) + "\n")
    return results


def draw_figures(folder: RunFolder, module: TrainingModule, data: Dataset, test: Evaluation, best_epoch: int) -> None:
    """Draws learning curves and figures of the test split; an error is one line."""
    from mla_train.training.curves import draw_curves

    unit = module.model.head.units.get(module.monitor, "")
    curves = folder.figures / "curves.png"
    with reported(curves.name):
        draw_curves(folder.path / "metrics.csv", module.monitor, curves, best_epoch, unit)
    with reported("figures of the test split"):
        module.task.figures(module.model, test.predictions, data, folder.figures)


def environment(command: str) -> dict[str, Any]:
    """Versions, commit and command, which are needed to repeat the run."""
    versions = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "git_commit": git_commit(),
        "command": command,
    }


def git_commit() -> str | None:
    """The commit of this code, with `-dirty` if it has been changed; None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def read_results(file: Path) -> dict[str, Any]:
    """Contents of the results.json of a finished run.

    Raises:
        UserError: It cannot be read, or is none of a run.
    """
    try:
        results = read_json(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}. {REMEDY}") from error
    missing = [
        name
        for name, kind in NEEDED.items()
        if not isinstance(results, dict) or not isinstance(results.get(name), kind)
    ]
    if missing:
        raise UserError(f"{file} cannot be read: it has no {', '.join(missing[:3])}. {REMEDY}")
    scores = [*results["metrics"].values(), *results["baselines"].values()]
    if not all(map(are_scores, scores)):
        raise UserError(f"{file} cannot be read: metrics or baselines has a score that is no number. {REMEDY}")
    return results


def _facts(results: dict[str, Any]) -> list[str]:
    """What training added to its start, and how many values the intervals of a forecast hold."""
    interval = results.get("details", {}).get("interval")
    lines = [line for line in (kept_start_sentence(results),) if line]
    if interval:
        lines.append(
            f"{interval['nominal']:.0%} intervals hold {interval['coverage']:.1%} of the measured values; "
            f"their mean width is {written(interval['width'])} std."
        )
    return lines


def show(results: dict[str, Any], folder: Path) -> None:
    """Prints the metrics, those of the baselines, and the run folder."""
    console = Console()

    def say(line: str, style: str = "") -> None:
        console.print(printable(mask(line)), style=style, highlight=False, soft_wrap=True, markup=False)

    split = scored_split(results)
    scores = results["metrics"][split]
    names = [name for name in results["directions"] if name in scores and name != "loss"]
    names.sort(key=lambda name: name != results["monitor"]["name"].removeprefix("val/"))
    names, hidden = names[:MOST_COLUMNS], names[MOST_COLUMNS:]
    title = f"{results['task']} on {results['data']}, {'test' if split == 'test' else 'validation'} split"
    if results["debug"]:
        title += f" (debug={','.join(results['debug'])}: not a score to quote)"
    say(title, "italic")
    table, units = Table(), results.get("units", {})
    table.add_column("")
    for name in names:
        arrow = "↑ better" if results["directions"][name] == "max" else "↓ better"
        unit = f"{units[name]}, " if name in units else ""
        table.add_column(Text.assemble(printable(name), ("\n" + printable(f"{unit}{arrow}"), "dim")), justify="right")
    table.add_row(
        Text(printable(f"this model ({results['attention']})")),
        *(written(scores[name]) for name in names),
        style="bold",
    )
    bounds = results.get("intervals" if split == "test" else "val_intervals", {})
    if bounds:
        ends = ("\n".join(map(written, bounds[name])) if name in bounds else "" for name in names)
        table.add_row("95 % interval", *ends, style="dim")
    for baseline, values in results["baselines"].items():
        table.add_row(Text(printable(baseline)), *(written(values[name]) if name in values else "" for name in names))
    console.print(table)
    if results.get("units_note"):
        say(results["units_note"], "dim")
    if hidden:
        rest = ", ".join(f"{name} {written(scores[name])} {units.get(name, '')}".strip() for name in hidden)
        say(f"also {rest}; baselines in results.json")
    score = read_score(results)
    if score.gain is not None and not results["debug"]:
        lines = [score.verdict, *filter(None, [advice(results)])]
        for line in lines:
            say(line, "" if score.standing == "ahead of" else "yellow")
    for line in _facts(results) if not results["debug"] else ():
        say(line)
    never = results.get("details", {}).get("never_predicted", [])
    if never and not results["debug"]:
        names_and_counts = ", ".join(
            f"{n} ({results['details']['per_class'][n]['support']:,.0f} of test)" for n in never[:5]
        )
        more = f" and {len(never) - 5} more" if len(never) > 5 else ""
        say(f"never predicted: {names_and_counts}{more}", "yellow")
    threshold = results.get("threshold")
    if threshold:
        line = f"{threshold['class']} is predicted from a probability of {threshold['probability']:.4g} on (task.threshold)"
        say(line)
    speed, model = results["speed"], results["model"]
    say(
        f"{model['parameters']:,} parameters · {speed['seconds']:.0f} s of training · "
        f"{speed['examples_per_second']:,.0f} examples/s · model of epoch {results['monitor']['epoch']}"
    )
    print(f"Run folder: {folder}")
    if (folder / "report.html").is_file():
        print(f"Report: {folder / 'report.html'}")
    print(f"Use it: {shlex.join([*program('predict'), '--run', str(folder), '--input', 'FILE'])}")

"""A comparison for people: one table in the terminal, in Markdown and in HTML, a row a run in CSV."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from mla_train.inspect.page import bullets, code, heading, html_table, page, paragraph, picture
from mla_train.inspect.tables import Cell, Table, Tone, as_markdown
from mla_train.studies.comparison import (
    ArmResults,
    Comparison,
    conclusion,
    listed,
    p_value,
    spread,
)
from mla_train.studies.comparison_figures import draw_scores, draw_validation
from mla_train.training.scores import Score, read_score, signed, written


@dataclass(frozen=True)
class Circumstances:
    """How it came about: what the page says beside the numbers.

    Attributes:
        command: To run it again.
        folders: Name of an arm to its run folders, by seed.
        changes: What was made different to match arms, a sentence each.
        threads: CPU threads of each run, and of the timing of inference.
        n_jobs: Runs at a time.
    """

    command: str
    folders: Mapping[str, Mapping[int, Path]]
    changes: Sequence[str]
    threads: int
    n_jobs: int


def title(comparison: Comparison) -> str:
    """What is compared, on what."""
    names = listed([arm.name for arm in comparison.arms])
    results = comparison.any_results
    what = f"{comparison.compared}: {names}"
    return what if results is None else f"{what} on {results['data']}"


def summary(comparison: Comparison) -> Table:
    """A row an arm."""
    score = comparison.any_score
    metric = "score" if score is None else score.metric
    baseline = "best baseline" if score is None or score.baseline is None else score.baseline
    columns = [
        comparison.compared,
        f"{metric} on test",
        f"against {comparison.first.name}",
        "p",
        f"against {baseline}",
        "parameters",
        "training/s",
        "inference/s",
        "cache bytes",
    ]
    return Table(columns, [_row(comparison, arm, score) for arm in comparison.arms])


def _row(comparison: Comparison, arm: ArmResults, score: Score | None) -> list[Cell]:
    sizes = [Cell(f"{arm.parameters:,}", arm.parameters), *map(_count, (arm.training, arm.inference, arm.cache))]
    if score is None or not arm.runs:
        return [Cell(arm.name), Cell("no run finished"), Cell(), Cell(), Cell(), *sizes]
    few = "" if len(arm.runs) == comparison.seeds else f" (of {len(arm.runs)} seeds)"
    scored = Cell(spread(arm.values) + few, mean(arm.values))
    difference, against, p = comparison.differences.get(arm.name), Cell(), Cell()
    if difference is not None:
        interval = "" if difference.margin is None else f" ± {written(difference.margin)}"
        tone = Tone.plain if not difference.significant else _tone(difference.mean, score)
        against = Cell(signed(difference.mean) + interval, difference.mean, tone)
        p = Cell(p_value(difference.p), difference.p)
    above = Cell()
    if score.baseline is not None:
        more = mean(arm.values) - score.baseline_value
        above = Cell(signed(more), more, _tone(more, score))
    return [Cell(arm.name), scored, against, p, above, *sizes]


def _tone(difference: float, score: Score) -> Tone:
    if round(difference, 4) == 0:  # as it is shown
        return Tone.plain
    return Tone.good if (difference > 0) == score.higher_is_better else Tone.bad


def _count(number: float | None) -> Cell:
    return Cell() if number is None else Cell(f"{number:,.0f}", number)


def measured(comparison: Comparison, how: Circumstances) -> list[str]:
    """How to read the table, in sentences."""
    score = comparison.any_score
    if score is None:
        return []
    first, seeds = comparison.first.name, comparison.seeds
    better = "higher" if score.higher_is_better else "lower"
    said = [
        f"{score.metric} on the test split, {better} is better: mean ± standard deviation over {_seeds(seeds)}, each scored "
        "once by the model that its run keeps (checkpoint.keep: best on the validation split, or last). Runs of the same "
        "seed meet the training examples in the same order."
    ]
    if seeds > 1:
        several = ", corrected for several arms by Holm's method" if len(comparison.arms) > 2 else ""
        said.append(
            f"Against {first}: the mean of the differences between runs of the same seed with its 95 % confidence "
            f"interval, and the p-value of a paired t-test{several}. Below 0.05 a difference is called one."
        )
    together = "one run at a time" if how.n_jobs == 1 else f"{how.n_jobs} runs at a time"
    threads = f"{how.threads} CPU thread{'s' * (how.threads > 1)}"
    said.append(
        f"Training/s: examples a second, the median over seeds, {together} with {threads} each. Inference/s: examples a "
        f"second from batches of the test split to predictions, models of the first seed by turns in one process, "
        f"medians, {threads}. Cache bytes: what decoding would keep for each token."
    )
    return said


def _seeds(count: int) -> str:
    return "seed 0 alone" if count == 1 else f"seeds {listed([str(seed) for seed in range(count)])}"


def failures(comparison: Comparison) -> list[str]:
    """Runs that failed, with the last line that each printed."""
    return [
        f"{arm.name}, seed {seed} failed: {message}"
        for arm in comparison.arms
        for seed, message in sorted(arm.failed.items())
    ]


def write_page(comparison: Comparison, how: Circumstances, folder: Path) -> None:
    """Writes comparison.csv, .png, .md and .html into a folder.

    Args:
        comparison: The numbers.
        how: What is said beside them.
        folder: Of the comparison.
    """
    _write_csv(comparison, how, folder / "comparison.csv")
    figure = folder / "comparison.png"
    if comparison.any_score is not None:
        draw_scores(comparison, figure)
    else:
        figure.unlink(missing_ok=True)
    (folder / "comparison.md").write_text(_markdown(comparison, how))
    (folder / "comparison.html").write_text(_html(comparison, how, figure))


def _markdown(comparison: Comparison, how: Circumstances) -> str:
    failed = failures(comparison)
    parts = [f"# {title(comparison)}", f"```bash\n{how.command}\n```", conclusion(comparison)]
    parts += ["\n".join(f"- {message}" for message in failed)] * bool(failed)
    parts.append(as_markdown(summary(comparison)))
    parts += ["![Each seed, mean and 95 % interval](comparison.png)"] * (comparison.any_score is not None)
    parts += ["\n".join(f"- {change}" for change in how.changes)] * bool(how.changes)
    return "\n\n".join([*parts, *measured(comparison, how)]) + "\n"


def _html(comparison: Comparison, how: Circumstances, figure: Path) -> str:
    score = comparison.any_score
    parts = [paragraph(conclusion(comparison), "lead"), bullets(failures(comparison)), code(how.command)]
    parts.append(html_table(summary(comparison)))
    parts += [paragraph(text, "note") for text in measured(comparison, how)]
    if how.changes:
        parts += [heading("Made equally large"), bullets(how.changes)]
    if score is not None:
        curves = {
            arm.name: [folder / "metrics.csv" for seed, folder in how.folders[arm.name].items() if seed in arm.runs]
            for arm in comparison.arms
        }
        parts += [
            heading(f"{score.metric} on test"),
            picture(figure, f"{score.metric} of each seed, mean and 95 % confidence interval of each arm"),
            heading(f"{score.metric} on validation"),
            picture(draw_validation(curves, score.metric), f"{score.metric} on the validation split after each epoch"),
            heading("Each run"),
            html_table(runs_table(comparison, how)),
        ]
    return page(title(comparison), *parts)


def runs_table(comparison: Comparison, how: Circumstances) -> Table:
    """A row a finished run: all scores, and what they cost."""
    metrics = _metrics(comparison)
    columns = [comparison.compared, "seed", *metrics, "model of epoch", "seconds", "run folder"]
    rows = []
    for arm in comparison.arms:
        for seed, results in sorted(arm.runs.items()):
            scores = [results["metrics"]["test"][name] for name in metrics]
            cells = [Cell(arm.name), Cell(str(seed), seed), *(Cell(written(value), value) for value in scores)]
            cells.append(Cell(str(results["monitor"]["epoch"]), results["monitor"]["epoch"]))
            rows.append([*cells, _count(results["speed"]["seconds"]), Cell(str(how.folders[arm.name][seed]))])
    return Table(columns, rows)


def _metrics(comparison: Comparison) -> list[str]:
    """Metrics that the runs have, the one they are judged by first."""
    results = comparison.any_results
    if results is None:
        return []
    judged = read_score(results).metric
    others = [name for name in results["directions"] if name in results["metrics"]["test"] and name != judged]
    return [judged, *others]


def _write_csv(comparison: Comparison, how: Circumstances, file: Path) -> None:
    rows = []
    for arm in comparison.arms:
        for seed, folder in how.folders[arm.name].items():
            results = arm.runs.get(seed)
            state = "finished" if results else "failed" if seed in arm.failed else "unfinished"
            row = {comparison.compared: arm.name, "seed": seed, "state": state, "run_dir": folder}
            rows.append(row | {"parameters": arm.parameters} | (_told(results, arm) if results else {}))
    scores = [f"test/{name}" for name in _metrics(comparison)]
    columns = [comparison.compared, "seed", "state", *scores, "best_baseline", "best_baseline_score", "parameters"]
    columns += ["train_examples_per_second", "inference_examples_per_second", "cache_bytes_per_token", "seconds"]
    with file.open("w", newline="") as stream:
        table = csv.DictWriter(stream, [*columns, "run_dir", "command"], restval="")
        table.writeheader()
        table.writerows(rows)


def _told(results: Mapping[str, Any], arm: ArmResults) -> dict[str, Any]:
    """The columns of a finished run."""
    score = read_score(results)
    scores = results["metrics"]["test"]
    return {f"test/{name}": scores[name] for name in results["directions"] if name in scores} | {
        "best_baseline": score.baseline,
        "best_baseline_score": "" if score.baseline is None else score.baseline_value,
        "train_examples_per_second": results["speed"]["examples_per_second"],
        "inference_examples_per_second": arm.inference,
        "cache_bytes_per_token": results["model"]["cache_bytes_per_token"],
        "seconds": results["speed"]["seconds"],
        "command": results["environment"]["command"],
    }

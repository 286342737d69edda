"""The report of a comparison: a table in the terminal, in Markdown and in HTML, and a CSV with a row for each run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd

from mla_train.errors import UserError
from mla_train.escaping import markdown_line, spreadsheet_cell
from mla_train.report.page import render
from mla_train.report.runs import reason, report_link
from mla_train.report.tables import Cell, Table, Tone, as_markdown
from mla_train.safe_files import write_atomically
from mla_train.studies.comparison import Comparison, VariantResults, conclusion, half_interval, listed, p_value, spread
from mla_train.studies.comparison_figures import draw_learning, draw_scores, draw_validation
from mla_train.training.scores import Score, are_scores, read_score, signed, standing_of, written

LEARNING = "learning_curves.png"


@dataclass(frozen=True)
class Circumstances:
    """How the numbers were measured.

    Attributes:
        command: Command that runs the comparison again.
        folders: Name of a variant to its run folders by seed.
        changes: Sentences that say what was changed to match parameters.
        threads: Number of CPU threads of each run, and in the timing of inference.
        n_jobs: Number of runs at a time.
    """

    command: str
    folders: Mapping[str, Mapping[int, Path]]
    changes: Sequence[str]
    threads: int
    n_jobs: int


def title(comparison: Comparison) -> str:
    """What is compared, and on which data."""
    names = listed([variant.name for variant in comparison.variants])
    results = comparison.any_results
    text = f"{comparison.compared}: {names}"
    return text if results is None else f"{text} on {results['data']}"


def summary(comparison: Comparison) -> Table:
    """A table with one row for each variant."""
    score = comparison.any_score
    metric = "score" if score is None else score.metric
    baseline = "best baseline" if score is None or score.baseline is None else score.baseline
    columns = [
        comparison.compared,
        f"{metric} on test",
        *["95 % interval"] * bool(comparison.folds),
        f"difference to {_reference(comparison)}, 95 % interval",
        "p of the difference",
        *["p after correction"] * _corrected(comparison),
        f"difference to {baseline}",
        "parameters",
        "training/s",
        "inference/s",
        "cache bytes",
    ]
    return Table(columns, [_row(comparison, variant, score) for variant in comparison.variants])


def _reference(comparison: Comparison) -> str:
    """What variants are compared to, in words."""
    return "the first of as many examples" if comparison.curves else comparison.first.name


def _test_margin(comparison: Comparison) -> float | None:
    """Half the width of the 95 % interval of a run's score over test examples, the mean over runs; None if not known."""
    intervals = [score.interval for variant in comparison.variants for score in variant.scores.values()]
    halves = [(high - low) / 2 for low, high in filter(None, intervals)]
    return mean(halves) if halves else None


def _row(comparison: Comparison, variant: VariantResults, score: Score | None) -> list[Cell]:
    name, parameters = Cell(variant.name), Cell(f"{variant.parameters:,}", variant.parameters)
    costs = [parameters, *map(_count, (variant.training, variant.inference, variant.cache))]
    if score is None or not variant.runs:
        return [
            name,
            Cell("no run finished"),
            *[Cell()] * (3 + _corrected(comparison) + bool(comparison.folds)),
            *costs,
        ]
    seeds = "" if len(variant.runs) == comparison.seeds else f" ({len(variant.runs)} {comparison.unit}s)"
    scored = Cell(spread(variant.values) + seeds, mean(variant.values))
    around = Cell()
    margin = half_interval(variant.values, comparison.folds)
    if margin is not None:
        around = Cell(f"{written(mean(variant.values) - margin)} to {written(mean(variant.values) + margin)}")
    difference, to_first = comparison.differences.get(variant.name), Cell()
    tests = [Cell()] * (1 + _corrected(comparison))
    if difference is not None:
        interval = "" if difference.margin is None else f" ± {written(difference.margin)}"
        tone = Tone.plain if not difference.significant else _tone(difference.mean, score)
        to_first = Cell(signed(difference.mean) + interval, difference.mean, tone)
        tests = [Cell(p_value(p), p) for p in (difference.uncorrected_p, difference.p)][: len(tests)]
    to_baseline = Cell()
    against = comparison.against_baseline(variant)
    if against is not None:
        gain, margin = against
        difference_to_it = gain if score.higher_is_better else -gain
        tone = {"ahead of": Tone.good, "behind": Tone.bad}.get(standing_of(gain, margin), Tone.plain)
        interval = "" if margin is None else f" ± {written(margin)}"
        to_baseline = Cell(signed(difference_to_it) + interval, difference_to_it, tone)
    return [name, scored, *[around] * bool(comparison.folds), to_first, *tests, to_baseline, *costs]


def _corrected(comparison: Comparison) -> bool:
    """Whether p-values are corrected for the number of variants."""
    return len(comparison.variants) > 2


def _tone(difference: float, score: Score) -> Tone:
    if round(difference, 4) == 0:  # as shown
        return Tone.plain
    return Tone.good if (difference > 0) == score.higher_is_better else Tone.bad


def _count(number: float | None) -> Cell:
    return Cell() if number is None else Cell(f"{number:,.0f}", number)


def notes(comparison: Comparison, how: Circumstances) -> list[str]:
    """Sentences that explain the table."""
    score = comparison.any_score
    if score is None:
        return []
    first, seeds = _reference(comparison), comparison.seeds
    better = "higher" if score.higher_is_better else "lower"
    sentences = [
        f"{score.metric} on the test split, {better} is better: mean ± standard deviation over {_runs(comparison)}. Each run is "
        "evaluated once, with the selected checkpoint (checkpoint.keep: best on the validation split, or last). "
    ]
    if comparison.folds:
        sentences.append(
            "Each example is in the test split of one fold. Training splits of folds overlap: intervals and tests are "
            "corrected for that (Nadeau and Bengio 2003). The score of a baseline is its mean over the folds."
        )
    else:
        sentences[0] += "Runs with the same seed read the training examples in the same order."
    margin = _test_margin(comparison)
    if margin is not None:
        sentences.append(
            f"Apart from that, a run's score is uncertain by about ± {written(margin)} because the test split holds only so many "
            "examples (95 % bootstrap intervals, mean over runs): all variants share these examples."
        )
    if seeds > 1 and len(comparison.variants) > 1:
        text = (
            f"Difference to {first}: mean difference between runs with the same {comparison.unit}, with its 95 % confidence interval, and "
            "the p-value of a paired t-test, both of this one difference alone. "
        )
        if _corrected(comparison):
            text += (
                f"Of {len(comparison.variants) - 1} differences some are large by chance: p after correction (Holm 1979) "
                "allows for that. A difference is significant (coloured, and named in the conclusion) only if p after "
                "correction is below 0.05; its interval is not corrected."
            )
        else:
            text += "It is significant (coloured) if p is below 0.05."
        sentences.append(text)
    together = "one run at a time" if how.n_jobs == 1 else f"{how.n_jobs} runs at a time"
    threads = f"{how.threads} CPU thread{'s' * (how.threads > 1)}"
    sentences.append(
        f"Training/s: examples a second, median over {comparison.unit}s, {together} with {threads} each. Inference/s: examples a second "
        f"from batches of the test split to predictions, models of the first {comparison.unit} by turns in one process, medians, "
        f"{threads}. Cache bytes: bytes that decoding caches for each token."
    )
    return sentences


def _runs(comparison: Comparison) -> str:
    unit, count = comparison.unit, comparison.seeds
    return f"{unit} 0" if count == 1 else f"{unit}s {listed([str(number) for number in range(count)])}"


def failures(comparison: Comparison) -> list[str]:
    """Failed runs, with the last line that each printed."""
    return [
        f"{variant.name}, {comparison.unit} {seed} failed: {message}"
        for variant in comparison.variants
        for seed, message in sorted(variant.failed.items())
    ]


def check_results(results: Mapping[str, Any], folder: Path, first: Mapping[str, Any] | None = None) -> None:
    """Checks that what a run has left can be shown, and compared to the first run; it may be damaged, or a stranger's.

    Raises:
        UserError: It cannot.
    """
    alone = Comparison("", 1, [VariantResults("", 0, {0: results})])
    how = Circumstances("", {"": {0: folder}}, [], 1, 1)
    try:
        score = read_score(results)
        if not (isfinite(score.value) and isfinite(score.gain or 0.0)):
            raise ValueError("its score is no number")
        if not all(map(are_scores, [*results["metrics"].values(), *results["baselines"].values()])):
            raise ValueError("a score is no number")
        parts = [title(alone), conclusion(alone), *notes(alone, how), results["environment"]["command"]]
        if not all(isinstance(each, str) for each in parts):
            raise ValueError("its command is no text")
        as_markdown(summary(alone))
        as_markdown(runs_table(alone, how, folder))
        if first is not None and _shape(results) != _shape(first):
            raise ValueError("its metrics are not those of the other runs")
    except Exception as error:  # damaged files raise errors of many kinds
        raise UserError(
            f"{folder / 'results.json'} cannot be compared: {reason(error)}. Remove {folder} to run it again"
        ) from error


def _shape(results: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the results of all runs of a comparison have in common."""
    return results["monitor"]["name"], results["monitor"]["mode"], {*results["metrics"]["test"]}


def write_page(comparison: Comparison, how: Circumstances, folder: Path) -> None:
    """Writes comparison.csv, .png, .md and .html into a folder."""
    _write_csv(comparison, how, folder / "comparison.csv")
    figure = folder / "comparison.png"
    if comparison.any_score is not None:
        draw_scores(comparison, figure)
        if comparison.curves:
            draw_learning(comparison, folder / LEARNING)
    else:
        figure.unlink(missing_ok=True)
    write_atomically(folder / "comparison.md", _markdown(comparison, how))
    write_atomically(folder / "comparison.html", _html(comparison, how, figure))


def _markdown(comparison: Comparison, how: Circumstances) -> str:
    failed = failures(comparison)
    summary_text = markdown_line(conclusion(comparison))
    parts = [f"# {markdown_line(title(comparison))}", f"```bash\n{how.command}\n```", summary_text]
    parts += ["\n".join(f"- {markdown_line(message)}" for message in failed)] * bool(failed)
    parts.append(as_markdown(summary(comparison)))
    parts += [f"![Each {comparison.unit}, mean and 95 % interval](comparison.png)"] * (comparison.any_score is not None)
    parts += [f"![Score over the number of training examples]({LEARNING})"] * bool(comparison.curves)
    parts += ["\n".join(f"- {change}" for change in how.changes)] * bool(how.changes)
    return "\n\n".join([*parts, *map(markdown_line, notes(comparison, how))]) + "\n"


def _html(comparison: Comparison, how: Circumstances, figure: Path) -> str:
    score, figures = comparison.any_score, []
    if score is not None:
        curves = {
            variant.name: [
                folder / "metrics.csv" for seed, folder in how.folders[variant.name].items() if seed in variant.runs
            ]
            for variant in comparison.variants
        }
        caption = f"{score.metric} of each {comparison.unit}, mean and 95 % confidence interval of each variant"
        on_validation = f"{score.metric} on the validation split after each epoch"
        figures = [
            (f"{score.metric} on test", figure, caption),
            *[("learning curves", figure.with_name(LEARNING), "mean and standard deviation over runs")]
            * bool(comparison.curves),
            (f"{score.metric} on validation", draw_validation(curves, score.metric), on_validation),
        ]
    return render(
        "comparison",
        title(comparison),
        conclusion=conclusion(comparison),
        failures=failures(comparison),
        command=how.command,
        summary=summary(comparison),
        notes=notes(comparison, how),
        changes=how.changes,
        figures=figures,
        runs=None if score is None else runs_table(comparison, how, figure.parent),
    )


def runs_table(comparison: Comparison, how: Circumstances, page_folder: Path) -> Table:
    """A table with one row for each finished run: all metrics, the cost, and a link from a page in a folder to its report."""
    metrics = _metrics(comparison)
    columns = [comparison.compared, comparison.unit, *metrics, "checkpoint epoch", "seconds", "run folder"]
    rows = []
    for variant in comparison.variants:
        for seed, results in sorted(variant.runs.items()):
            scores = [results["metrics"]["test"][name] for name in metrics]
            cells = [Cell(variant.name), Cell(str(seed), seed), *(Cell(written(value), value) for value in scores)]
            cells.append(Cell(str(results["monitor"]["epoch"]), results["monitor"]["epoch"]))
            folder = how.folders[variant.name][seed]
            link = Cell(str(folder), link=report_link(folder, page_folder))
            rows.append([*cells, _count(results["speed"]["seconds"]), link])
    return Table(columns, rows)


def _metrics(comparison: Comparison) -> list[str]:
    """Metrics of the runs; first the one that chose the checkpoints."""
    results = comparison.any_results
    if results is None:
        return []
    monitor = read_score(results).metric
    others = [name for name in results["directions"] if name in results["metrics"]["test"] and name != monitor]
    return [monitor, *others]


def _write_csv(comparison: Comparison, how: Circumstances, file: Path) -> None:
    """Writes a row for each run; those of unfinished runs have no numbers."""
    metrics, rows = _metrics(comparison), []
    for variant in comparison.variants:
        for seed, folder in how.folders[variant.name].items():
            results = variant.runs.get(seed)
            state = "finished" if results else "failed" if seed in variant.failed else "unfinished"
            row = {comparison.compared: variant.name, comparison.unit: seed, "state": state, "run_dir": folder}
            if results:
                score = read_score(results)
                row |= {f"test/{name}": results["metrics"]["test"][name] for name in metrics} | {
                    "best_baseline": score.baseline,
                    "best_baseline_score": score.baseline_value,
                    "parameters": variant.parameters,
                    "train_examples_per_second": results["speed"]["examples_per_second"],
                    "inference_examples_per_second": variant.inference,
                    "cache_bytes_per_token": results["model"]["cache_bytes_per_token"],
                    "seconds": results["speed"]["seconds"],
                    "command": results["environment"]["command"],
                }
            rows.append(row)
    columns = [comparison.compared, comparison.unit, "state", *(f"test/{name}" for name in metrics), "best_baseline"]
    columns += ["best_baseline_score", "parameters", "train_examples_per_second", "inference_examples_per_second"]
    columns += ["cache_bytes_per_token", "seconds", "run_dir", "command"]
    table = pd.DataFrame(rows, columns=columns, dtype=object).map(spreadsheet_cell)
    write_atomically(file, table.to_csv(index=False))

"""report.html of a run: what was trained on which data, how good it is, where it errs, what it cost."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mla_train.config import TrainConfig
from mla_train.config.stored import read_stored
from mla_train.errors import UserError, reported
from mla_train.heads import Head
from mla_train.inference.artifact import load_model
from mla_train.report.data_report import DATA_REPORT, write_data_report
from mla_train.report.examples import ATTENTION, THUMBNAILS, draw_attention_examples, draw_thumbnails, forecast_lines
from mla_train.report.page import data_uri, render
from mla_train.report.runs import REPORT
from mla_train.report.tables import Cell, Table, Tone, value_cell
from mla_train.safe_files import write_atomically
from mla_train.training.results import read_results
from mla_train.training.run import FinishedRun
from mla_train.training.scores import (
    advice,
    attention_of_kept_start,
    kept_start,
    kept_start_sentence,
    read_score,
    scored_split,
    written,
)

MISTAKES = 20
MOST_SERIES, WORST_SERIES = 50, 10  # in the table by series; results.json has all
MOST_BYTES = 2_000_000  # of figures; base64 makes a third more of them
CAPTIONS = {
    "curves": "Loss and metric over the epochs",
    "confusion": "Confusion matrix of the test split",
    "calibration": "Probability of the prediction and accuracy",
    "scatter": "Predicted and true numbers",
    "labels": "F1 of each label",
    "forecasts": "Forecasts of the test split, from the best window to the worst",
    "errors": "Error by step ahead, and by series",
    "attention": "Attention of the steps to forecast over the past, mean over test windows",
    "bleu_by_length": "BLEU by length of the source",
    "rouge_by_length": "ROUGE-L by length of the text",
    "copies": "Probability that each generated token is copied from the text",
    "cross_attention": "Attention of each generated token to the source",
    "words_over_images": "Attention of words over their image",
    "ablation": "Metric with all inputs, with each alone and without each",
    "mistakes": "The most certain mistakes",
}
"""Stem of a figure to its caption, in the order of the report."""


def report_run(run: FinishedRun) -> None:
    """Draws test examples and writes report.html; an error is one line."""
    folder = run.folder.path
    steps: list[Callable[[], Any]] = [lambda: write_report(folder, run.config)]
    if run.checks:
        title = f"Data of {run.config.task.name} on {run.config.data.name}"
        steps.insert(0, lambda: write_data_report(folder / DATA_REPORT, title, run.data, run.checks))
    if (folder / "predictions.jsonl").is_file():
        steps.insert(0, lambda: draw_examples(run))
    for step in steps:
        with reported(REPORT):
            step()


def draw_examples(run: FinishedRun) -> None:
    """Draws small images of the worst mistakes, and attention maps of the worst mistake and of another test example."""
    artifact, rows = load_model(run.folder.path, config=run.config), read_rows(run.folder.path)
    worst = [row["index"] for row in worst_rows(artifact.model.head, rows)]
    draw_thumbnails(run.data, worst, run.folder.figures / THUMBNAILS)
    indices = dict.fromkeys([*worst[:1], rows[len(rows) // 2]["index"]])
    if len(run.data.spec.inputs) > 1:  # each has many maps
        indices = dict.fromkeys(list(indices)[:1])
    try:
        draw_attention_examples(artifact, run.data, list(indices), run.folder.figures / ATTENTION)
    except UserError as error:  # this kind of input is not explained
        logging.getLogger(__name__).info("no attention maps: %s", error)


def write_report(folder: Path, config: TrainConfig | None = None) -> Path:
    """Writes report.html of a finished run from the other files in its folder; returns its path.

    Args:
        folder: Run folder.
        config: Config of the run, where it is known; None reads the stored one.

    Raises:
        UserError: The run is not finished.
    """
    if not (folder / "results.json").is_file():
        raise UserError(f"{folder} holds no finished run (no results.json): continue it with resume={folder}")
    results = read_results(folder / "results.json")
    text = (folder / "config.yaml").read_text()
    worst = worst_rows(load_model(folder, config=config).model.head, read_rows(folder))
    environment, score = results["environment"], read_score(results)
    split = "test" if scored_split(results) == "test" else "validation"
    drawn = figures(folder / "figures")
    html = render(
        "report",
        f"{results['task']} on {results['data']}",
        verdict=score.verdict,
        start=kept_start_sentence(results),
        debug=",".join(results["debug"]),
        scores=score_table(results),
        score_notes=[
            f"On the {split} split, with the checkpoint of epoch {results['monitor']['epoch']}. ↑ higher is better, ↓ lower "
            "is better; the best of a row is green.",
            *["95 % intervals: bootstrap over test examples; they say nothing of other seeds."] * bool(score.interval),
            *[line for line in (advice(results),) if line and not results["debug"]],
            *[note for note in (results.get("units_note"),) if note],
        ],
        baselines=baseline_table(results),
        model=model_facts(results, read_stored(folder / "config.yaml")),
        data={name: f"{count:,} examples" for name, count in results["examples"].items()},
        notes=results.get("notes", []),
        problems=[p for check in results.get("data_checks", {}).values() for p in check["problems"]],
        data_report=DATA_REPORT if (folder / DATA_REPORT).is_file() else "",
        figures=drawn,
        figure_notes=attention_notes(drawn, kept_start(results)),
        details=detail_tables(results["details"], results.get("units", {})),
        mistakes=mistake_table(worst, folder / "figures") if worst else None,
        mistakes_note=f"The {len(worst)} test examples with the largest errors, the worst first.",
        cost=cost_facts(results),
        command=environment["command"],
        versions={
            "seed": results["seed"],
            "commit": environment["git_commit"] or "not known",
            "python": f"{environment['python']}, {environment['platform']}",
            "packages": ", ".join(f"{name} {version}" for name, version in environment["versions"].items()),
        },
        config=text,
    )
    file = folder / REPORT
    write_atomically(file, html)
    return file


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of predictions.jsonl; none where test was not evaluated."""
    file = folder / "predictions.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def worst_rows(head: Head, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the largest errors, the worst first."""
    wrong = [row for row in rows if head.example_error(row) > 0]
    return sorted(wrong, key=head.example_error, reverse=True)[:MISTAKES]


def score_table(results: Mapping[str, Any]) -> Table:
    """A row for each metric: this model with its interval, and each baseline; the best of a row is green."""
    split = scored_split(results)
    values, bounds, units = results["metrics"][split], results.get("intervals", {}), results.get("units", {})
    monitor = results["monitor"]["name"].removeprefix("val/")
    names = [name for name in results["directions"] if name in values and name != "loss"]
    rows = []
    for name in sorted(names, key=lambda name: name != monitor):
        low_high = " to ".join(map(written, bounds[name])) if name in bounds else ""
        scores = [values[name], *(baseline.get(name) for baseline in results["baselines"].values())]
        present = [score for score in scores if score is not None]
        best = (max if results["directions"][name] == "max" else min)(present)
        cells = [
            Cell() if score is None else Cell(written(score), score, Tone.good if score == best else Tone.plain)
            for score in scores
        ]
        arrow = "↑" if results["directions"][name] == "max" else "↓"
        title = f"{name} ({units[name]}) {arrow}" if name in units else f"{name} {arrow}"
        rows.append([Cell(title), cells[0], *[Cell(low_high)] * bool(bounds), *cells[1:]])
    columns = [f"this model ({results['attention']})", *["95 % interval"] * bool(bounds), *results["baselines"]]
    return Table(["metric", *columns], rows)


def baseline_table(results: Mapping[str, Any]) -> Table | None:
    """What val chose for each baseline, its score there, and its time; None in runs without."""
    metric = results["monitor"]["name"].removeprefix("val/")
    rows = []
    for name, each in results.get("baseline_choices", {}).items():
        score = each["val"].get(metric)
        chosen = ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in each["chosen"].items()
        )
        cells = [
            Cell() if score is None else Cell(written(score), score),
            Cell(f"{each['seconds']:.1f}", each["seconds"]),
        ]
        rows.append([Cell(name), Cell(chosen), *cells])
    return Table(["baseline", "chosen on val", f"val/{metric}", "seconds"], rows) if rows else None


def model_facts(results: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """What the network is, and its parameters by part."""
    encoder, counts = config["encoder"], results["model"]
    names = {"encoder": "encoder", "side_paths": "side paths", "inputs": "embeddings of inputs", "head": "head"}
    return {
        "network": f"attention {results['attention']}, {encoder['depth']} blocks of width {encoder['dim']}",
        "parameters": f"{counts['parameters']:,}",
        **{f"… {names[name]}": f"{counts[name]:,}" for name in names if name in counts},
    }


def cost_facts(results: Mapping[str, Any]) -> dict[str, str]:
    """Time and memory."""
    speed = results["speed"]
    return {
        "training": f"{speed['seconds']:,.0f} seconds",
        "speed": f"{speed['examples_per_second']:,.0f} examples/s, {speed['tokens_per_second']:,.0f} tokens/s",
        "cache of decoding": f"{results['model']['cache_bytes_per_token']:,} bytes per token",
    }


def figures(folder: Path) -> dict[str, list[tuple[Path, str]]]:
    """Figures by section, with their captions; no more of them than a page can hold."""
    drawn = {file.stem: file for file in sorted(folder.glob("*.png"))}
    if (folder / THUMBNAILS).is_dir():  # the table of mistakes has them
        drawn.pop("mistakes", None)
    names = [name for name in CAPTIONS if name in drawn] + [name for name in drawn if name not in CAPTIONS]
    captioned = [(drawn[name], CAPTIONS.get(name, name.replace("_", " "))) for name in names]
    sections = (
        {"Learning curves": captioned[:1], "Figures": captioned[1:]} if "curves" in drawn else {"Figures": captioned}
    )
    maps = sorted((folder / ATTENTION).glob("*.png"), key=lambda file: (int(file.stem.split("_")[0]), file.stem))
    sections["Attention of test examples (last layer, mean over heads)"] = [
        (file, "Test example {}: {}".format(*file.stem.replace("_", " ").split(" ", 1))) for file in maps
    ]
    room = MOST_BYTES
    for files in sections.values():
        for figure in list(files):
            size = figure[0].stat().st_size
            if size > room:
                files.remove(figure)
            else:
                room -= size
    return {section: files for section, files in sections.items() if files}


def attention_notes(sections: Mapping[str, Sequence[tuple[Path, str]]], start: str) -> dict[str, str]:
    """Sections that hold attention maps, each with what these are worth where a start of this name is the model."""
    texts = {section: [section, *(caption for _, caption in files)] for section, files in sections.items() if start}
    held = [section for section, own in texts.items() if any(text.startswith("Attention") for text in own)]
    return dict.fromkeys(held, attention_of_kept_start(start))


def detail_tables(details: Mapping[str, Any], units: Mapping[str, str]) -> dict[str, Table]:
    """Metrics by class, label or series, and of ablated inputs, where results.json has them."""
    headings = {"per_class": "By class", "ablation": "Ablation of inputs"}
    tables = {headings[name]: rows for name, rows in details.items() if name in headings}
    series = details.get("per_series", {})
    shown, heading = list(series), "By series"
    if len(series) > MOST_SERIES:
        shown = sorted(series, key=lambda name: series[name]["mse"] or 0.0, reverse=True)[:WORST_SERIES]
        heading = f"By series, the worst {WORST_SERIES} of {len(series):,}"
    titles = {name: f"{name.removesuffix('_original')} ({unit})" for name, unit in units.items()}
    tables[heading] = {each: {titles.get(name, name): value for name, value in series[each].items()} for each in shown}
    return {heading: _nested_table(rows) for heading, rows in tables.items() if rows}


def _nested_table(rows: Mapping[str, Mapping[str, float | None]]) -> Table:
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    cells = [
        [Cell(name), *(_number_cell(row.get(column), column in COUNTS) for column in columns)]
        for name, row in rows.items()
    ]
    return Table(["", *columns], cells)


COUNTS = ("support",)


def _number_cell(value: float | None, is_count: bool = False) -> Cell:
    return Cell() if value is None else Cell(f"{value:,.0f}" if is_count else written(value), value)


def mistake_table(rows: Sequence[Mapping[str, Any]], folder: Path) -> Table:
    """A row for each mistake: the example itself, its label, the prediction."""
    lists = ("forecast", "measured", "quantiles")
    keys = list(dict.fromkeys(key for row in rows for key in row if key not in lists))
    drawn = [sorted((folder / THUMBNAILS).glob(f"{int(row['index'])}_*.png")) for row in rows]
    cells = []
    for row, files in zip(rows, drawn, strict=True):
        images = [Cell("", image=data_uri(file)) for file in files[:1]]
        if "forecast" in row:
            images = [Cell("", image=data_uri(forecast_lines(row)))]
        cells.append([*images, *(value_cell(row.get(key)) for key in keys)])
    width = max(map(len, cells))
    names = ["measured (black), forecast (blue)"] if "forecast" in rows[0] else ["example"]
    return Table([*names * (width - len(keys)), *keys], [[*[Cell()] * (width - len(row)), *row] for row in cells])

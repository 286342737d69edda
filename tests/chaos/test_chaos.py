"""A run that is killed anywhere goes on with the same command and ends bit for bit where the uninterrupted run ends.

`make chaos` kills a hundred times, over all tasks; CHAOS=N kills N times.
"""

import csv
import json
import os
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers import ROOT, SMALL, write_captions, write_events, write_reviews
from tests.warm import run_script

pytestmark = pytest.mark.slow
CHAOS = int(os.environ.get("CHAOS", "4"))
SHORT = [*SMALL, "epochs=3", "trainer.limit_train_batches=4", "checkpoint.every_minutes=0", "baselines=quick"]
TASKS = {
    "images": ["task=image_classification", "regularization=strong"],
    "forecasts": ["task=forecasting"],
    "texts": ["task=text_classification"],
    "translations": ["task=translation", "data.train_size=300", "data.val_size=40", "data.test_size=30"],
    "multimodal": ["task=multimodal_sentiment"],
    "series": ["task=series_classification"],
    "summaries": ["task=summarization", "data=summary_files", "data.train=tables/summaries.csv"],
    "captions": ["task=image_captioning", "data=caption_files", "data.root=tables"],
    "recommendations": ["task=recommendation", "data=event_files", "data.path=tables/events.csv"],
    "languages": ["task=causal_lm", "data=text_lines", "data.train=tables/reviews.csv"],
    "hidden pixels": ["task=masked_image", "data=image_files", "data.train=tables/Images"],
}
STAGES = [
    "mla_train.training.run_lock._write_config", "mla_train.training.run_folder.check_folder",
    "mla_train.training.run.build_task", "mla_train.training.run.write_splits", "mla_train.training.run.fingerprint",
    "mla_train.training.run.build_trainer", "mla_train.training.run.evaluate", "mla_train.training.run.save_model",
    "mla_train.training.run.compute_baselines", "mla_train.training.curves.draw_curves",
    "mla_train.training.run.write_results", "mla_train.training.results.environment",
    "mla_train.report.run_report.write_report", "mla_train.training.checkpoint_files.is_whole",
]  # fmt: skip
KINDS = ["write", "clock", "stage", "write", "full", "kill", "write", "term", "kill", "int"]


def start(folder, threat, words, timeout=300):
    """train.py under a threat; how it ended."""
    script = ROOT / "tests" / "chaos" / "killed.py"
    if not (folder / "tables").exists():
        write_tables(folder / "tables")
    return run_script(script, [threat, *words, "run_dir=run", "resume=auto"], folder, timeout, pages=True)


def write_tables(folder):
    """Tables and images of the tasks whose bundled data is large."""
    write_captions(folder, 60)
    write_reviews(folder / "reviews.csv", 60)
    write_events(folder / "events.csv")
    lines = [f"the film number {i} is {'fine' if i % 2 else 'poor'} and long,number {i}" for i in range(120)]
    (folder / "summaries.csv").write_text("\n".join(["text,summary", *lines]) + "\n")


@cache
def whole(task):
    """An uninterrupted run: folder, number of steps of writing, seconds."""
    folder = Path(mkdtemp())
    done = start(folder, "count", [*TASKS[task], *SHORT])
    assert done.returncode == 0, done.stderr
    steps, seconds = (folder / "steps").read_text().split()
    return folder / "run", int(steps), float(seconds)


def assert_same_end(one, other):
    """The same weights, predictions, metrics and curves."""
    for name in ("last.ckpt", "best.ckpt"):
        states = [torch.load(run / "checkpoints" / name, weights_only=True)["state_dict"] for run in (one, other)]
        assert_equal(*states)
    assert_equal(*(load_file(run / "model" / "model.safetensors") for run in (one, other)))
    assert (one / "predictions.jsonl").read_bytes() == (other / "predictions.jsonl").read_bytes()
    results = [json.loads((run / "results.json").read_text()) for run in (one, other)]
    same = ["metrics", "monitor", "examples", "notes", "details", "threshold", "intervals", "val_intervals"]
    for name in [*same, "baselines", "comparison"]:  # quick baselines, which are no matter of time
        assert results[0][name] == results[1][name], name
    assert without_time(results[0]["start"]) == without_time(results[1]["start"])
    assert curve(one) == curve(other)
    assert {file.name for file in one.glob("*")} == {file.name for file in other.glob("*")}
    assert {file.name for file in (one / "figures").glob("*.*")} == {
        file.name for file in (other / "figures").glob("*.*")
    }
    assert not list(other.rglob(".*"))  # no lock, nothing unfinished


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def without_time(start):
    return start and {name: value for name, value in start.items() if "second" not in name}


def curve(run):
    with (run / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{name: value for name, value in row.items() if "speed" not in name} for row in rows]


def threat_of(kind, chance, steps, seconds):
    """A moment by chance."""
    if kind in ("write", "full"):
        return f"{kind}:{chance.randint(1, steps)}"
    return f"stage:{chance.choice(STAGES)}" if kind == "stage" else f"{kind}:{chance.uniform(0, seconds):.2f}"


@pytest.mark.parametrize("trial", range(CHAOS))
def test_killed_anywhere_a_run_goes_on_and_ends_the_same(trial, tmp_path):
    chance = Random(trial)
    task, kinds = "images", [KINDS[trial % len(KINDS)]]
    if CHAOS > 20:
        task, kinds = list(TASKS)[trial % len(TASKS)], chance.choices(KINDS, k=chance.randint(1, 2))
    reference, steps, seconds = whole(task)
    words = [*TASKS[task], *SHORT]
    threats = [threat_of(kind, chance, steps, seconds) for kind in kinds]
    for threat in threats:
        done = start(tmp_path, threat, words)
        assert "Traceback" not in done.stderr, (threat, done.stderr)
    done = start(tmp_path, "count", words)
    assert done.returncode == 0, (threats, done.stderr)
    assert_same_end(reference, tmp_path / "run")

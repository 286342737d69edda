"""The whole task with labels of each kind: several labels and numbers of images, from tables of one's own."""

import re

import numpy as np
import pytest
from PIL import Image

import mla_train
from mla_train.report.run_report import report_run
from tests.helpers import check_report, read_jsonl, run_here, write_jsonl

WORDS = ["data=image_table", "lr=1e-2", "regularization=none", "task.visual_words=16"]


def write_images(folder, brightness):
    """Images whose left and right half have the given brightness, 0 to 255."""
    (folder / "images").mkdir()
    generator = np.random.default_rng(0)
    for i, (left, right) in enumerate(brightness):
        pixels = generator.integers(0, 20, (8, 8)) + np.repeat([left, right], 4)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{i}.png")
    return [f"images/{i}.png" for i in range(len(brightness))]


def test_several_labels(tmp_path):
    brightness = [(200 * (i % 2), 200 * (i // 2 % 2)) for i in range(160)]
    labels = [[name for name, value in zip(("left", "right"), pair, strict=True) if value] for pair in brightness]
    rows = [{"image": f, "label": ls} for f, ls in zip(write_images(tmp_path, brightness), labels, strict=True)]
    file = write_jsonl(tmp_path / "a.jsonl", rows)
    results = run_here(tmp_path / "run", *WORDS, f"data.train={file}", "epochs=8", report=report_run)
    check_report(tmp_path / "run", "F1 of each label", "By class", "image over image")
    assert set(results["baselines"]) == {"most_frequent", "linear"}
    assert results["metrics"]["test"]["micro_f1"] > 0.9 > results["baselines"]["most_frequent"]["micro_f1"]
    assert results["baselines"]["linear"]["exact_match"] > 0.9
    row = read_jsonl(tmp_path / "run" / "predictions.jsonl")[0]
    assert re.search(r"a.jsonl line \d+ \(images/\d+.png\)$", row["source"])
    assert set(row["label"]) <= {"left", "right"}
    assert {path.name for path in (tmp_path / "run" / "figures").glob("*.png")} == {"labels.png", "curves.png"}
    records = mla_train.load(tmp_path / "run").predict([str(tmp_path / "images" / f"{i}.png") for i in (0, 1, 2, 3)])
    assert [record["prediction"] for record in records] == [[], ["left"], ["right"], ["left", "right"]]


def test_numbers(tmp_path):
    brightness = [(value, value) for value in np.random.default_rng(0).integers(0, 235, 160)]
    files = write_images(tmp_path, brightness)
    rows = [{"image": file, "label": value / 100} for file, (value, _) in zip(files, brightness, strict=True)]
    rows = [row | {"label": float(row["label"])} for row in rows]
    results = run_here(
        tmp_path / "run", *WORDS, f"data.train={write_jsonl(tmp_path / 'a.jsonl', rows)}", "epochs=12", figures=True
    )
    assert set(results["baselines"]) == {"mean", "linear"}
    assert results["metrics"]["test"]["mae"] < 0.5 * results["baselines"]["mean"]["mae"]
    assert results["baselines"]["linear"]["mae"] < 0.5 * results["baselines"]["mean"]["mae"]
    assert {path.name for path in (tmp_path / "run" / "figures").iterdir()} == {"scatter.png", "curves.png"}
    dark, light = np.argmin(brightness, 0)[0], np.argmax(brightness, 0)[0]
    low, high = mla_train.load(tmp_path / "run").predict([tmp_path / files[i] for i in (dark, light)])
    assert low["prediction"] + 1 < high["prediction"] < 3


@pytest.mark.parametrize("words", [["task.head=regression"], []])
def test_classes_of_a_known_set_can_be_predicted_as_numbers(tmp_path, words):
    results = run_here(tmp_path / "run", *words, "debug=fast")
    assert ("mae" in results["metrics"]["val"]) is bool(words)

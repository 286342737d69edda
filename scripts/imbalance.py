"""Measures what helps a rare class: texts thinned to a share of one label, this model beside logistic regression.

    python scripts/imbalance.py epochs=4 encoder.depth=1 --root FOLDER --label 1

Each seed keeps other positives, so that the standard deviation covers the choice of examples. Every model has its
threshold tuned on val for the F1 of the rare class; logistic regression (TF-IDF) has its penalty chosen by it too.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from mla_train.data.splits import SPLITS
from mla_train.data.tfidf import TfidfFeatures
from mla_train.heads.class_metrics import above_threshold, best_threshold, count_metrics, ranking_metrics, single
from tasks.text_classification import read_texts
from tasks.text_classification.config import TextFilesConfig

ROOT = Path(__file__).resolve().parent.parent
VARIANTS = {
    "defaults": [],
    "task.class_weight=balanced": ["task.class_weight=balanced"],
    "data.sampling=balanced": ["data.sampling=balanced"],
}
METRICS = ("rare F1", "macro_f1", "average_precision", "auroc")
Texts = dict[str, tuple[list[str], np.ndarray]]


def thin(root: Path, label: str, share: float, seed: int) -> Texts:
    """Texts of each split and whether they have the label, of which a share is left; val is cut from train if need be."""
    examples = read_texts(TextFilesConfig(root=str(root))).splits
    splits = {
        split: (list(each.inputs["text"]), np.array([str(target) == label for target in each.targets]))
        for split, each in examples.items()
    }
    generator = np.random.default_rng(seed)
    if "val" not in splits:
        texts, positive = splits["train"]
        parts = np.split(generator.permutation(len(texts)), [len(texts) // 5])
        for split, chosen in zip(("val", "train"), parts, strict=True):
            splits[split] = ([texts[place] for place in chosen], positive[chosen])
    for split, (texts, positive) in splits.items():
        count = round((~positive).sum() * share / (1 - share))
        rare = generator.choice(np.flatnonzero(positive), count, replace=False)
        places = generator.permutation(np.concatenate([np.flatnonzero(~positive), rare]))
        splits[split] = ([texts[place] for place in places], positive[places])
    return splits


def train(splits: Texts, seed: int, overrides: list[str]) -> dict[str, float]:
    """Metrics on test of this model, trained as a user does."""
    with tempfile.TemporaryDirectory() as folder:
        for split, (texts, positive) in splits.items():
            rows = ({"text": text, "label": int(label)} for text, label in zip(texts, positive, strict=True))
            (Path(folder) / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        command = [
            sys.executable, str(ROOT / "train.py"), "task=text_classification", "data=text_files", f"data.root={folder}",
            f"seed={seed}", "hardware.threads=1", f"run_dir={folder}/run", *overrides,
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=sys.stderr)
        results = json.loads((Path(folder) / "run" / "results.json").read_text())
    rare = results["details"]["per_class"]["1"]["f1-score"]
    return {**results["metrics"]["test"], "rare F1": rare, "seconds": results["speed"]["seconds"]}


def logistic_regression(splits: Texts, weight: str | None) -> dict[str, float]:
    """Metrics on test of logistic regression on TF-IDF features of words and pieces of words."""
    features = TfidfFeatures.learn(list(splits["train"][0]), 100_000)
    train, val, test = (features.matrix(list(splits[split][0])) for split in SPLITS)
    labels = {split: splits[split][1].astype(int) for split in SPLITS}
    best = -1.0
    for strength in (1.0, 10.0, 100.0):
        model = LogisticRegression(C=strength, max_iter=300, tol=1e-6, class_weight=weight).fit(train, labels["train"])
        on_val = model.predict_proba(val)
        threshold = best_threshold(on_val[:, 1], labels["val"] == 1)
        score = f1_score(labels["val"], above_threshold(on_val, 1, threshold))
        if score > best:
            best, probability = score, model.predict_proba(test)
            predicted = above_threshold(probability, 1, threshold)
    metrics = count_metrics(labels["test"], predicted) | ranking_metrics(labels["test"], probability, 1)
    return {**single(metrics), "rare F1": float(f1_score(labels["test"], predicted)), "seconds": float("nan")}


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with tables of texts and labels")
    parser.add_argument("--label", required=True, help="label that becomes rare; all others are one class")
    parser.add_argument("--share", type=float, default=0.02, help="share of the rare class (default: 0.02)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="seeds (default: 0 to 4)")
    parser.add_argument("overrides", nargs="*", help="options of train.py, such as epochs=6")
    arguments = parser.parse_intermixed_args()
    scores: dict[str, list[dict[str, float]]] = {}
    for seed in arguments.seeds:
        splits = thin(arguments.root, arguments.label, arguments.share, seed)
        models = {
            name: partial(train, splits, seed, [*words, *arguments.overrides]) for name, words in VARIANTS.items()
        }
        models["logistic regression"] = partial(logistic_regression, splits, None)
        models["logistic regression, balanced"] = partial(logistic_regression, splits, "balanced")
        for name, measure in models.items():
            metrics = measure()
            scores.setdefault(name, []).append(metrics)
            print(f"seed {seed}, {name}: {metrics}", file=sys.stderr, flush=True)
    counts = {split: f"{len(labels):,} ({labels.sum():,} rare)" for split, (_, labels) in splits.items()}
    table = Table(title=", ".join(f"{split} {count}" for split, count in counts.items()))
    for column in ("", *METRICS, "seconds"):
        table.add_column(column, justify="right" if column else "left")
    for name, runs in scores.items():
        cells = []
        for metric in METRICS:
            values = [run[metric] for run in runs]
            cells.append(f"{np.mean(values):.3f} ± {np.std(values, ddof=min(1, len(values) - 1)):.3f}")
        table.add_row(name, *cells, f"{np.mean([run['seconds'] for run in runs]):.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()

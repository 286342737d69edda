"""A whole training with its data, beside a training of another library that does the same: two processes by turns."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from benchmarks.ratios import Ratio
from mla_train.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
BARE = ["task.tfidf_dim=0", "regularization.ema_decay=0"]


@dataclass(frozen=True)
class Training:
    """A training of ours and the peers that it is compared with.

    Attributes:
        case: What is trained.
        words: Options of train.py.
        peers: Names of `whole_peers.PEERS`, each with its goal.
        variants: Further options by what they are called.
    """

    case: str
    words: list[str]
    peers: dict[str, float]
    variants: dict[str, list[str]]


TRAININGS = {
    "text": Training(
        "texts, width 128, 4 blocks",
        ["task=text_classification", "encoder=small", "batch_size=64"],
        {"text_trainer": 2.2, "text_trainer_grouped": 1.4, "text_lightning": 2.6},
        {"defaults": [], "without TF-IDF features and averaging": BARE},
    ),
    "masked_lm": Training(
        "hidden words, width 128, 4 blocks",
        ["task=masked_lm", "encoder=small", "batch_size=64"],
        {"masked_lm_trainer": 1.5},
        {"defaults": []},
    ),
    "image": Training(
        "images, width 128, 4 blocks",
        ["task=image_classification", "encoder=small", "batch_size=64"],
        {"image_timm": 1.3},
        {
            "defaults": [],
            "patches without dropout and averaging": [
                "task.tokenizer=patch",
                "regularization.dropout=0",
                "regularization.ema_decay=0",
            ],
        },
    ),
    "forecast": Training(
        "windows, width 64, 2 blocks",
        ["task=forecasting", "encoder=tiny", "batch_size=64"],
        {"forecast_patchtst": 1.1, "forecast_neuralforecast": 1.1},
        {"defaults": [], "encoder alone": ["task.side_paths=false", "regularization.ema_decay=0"]},
    ),
    "translation": Training(
        "pairs of texts, width 128, 4 and 4 blocks",
        ["task=translation", "encoder=small", "batch_size=64"],
        {"translation_marian": 1.5},
        {"defaults": []},
    ),
}


def whole(names: Sequence[str], rounds: int, seconds: float, overrides: Sequence[str]) -> Iterator[Ratio]:
    """Whole trainings: examples a second after the first steps.

    Args:
        names: Which of `TRAININGS`.
        rounds: Number of processes of each.
        seconds: Length of each training.
        overrides: Options of train.py for all of them.
    """
    for name in names:
        training = TRAININGS[name]
        for variant, more in training.variants.items():
            words = [*training.words, *more, *overrides]
            speeds: dict[str, list[float]] = {each: [] for each in ["", *training.peers]}
            for _ in range(rounds):
                for each, measured in speeds.items():
                    measured.append(peer_speed(each, words, seconds) if each else our_speed(words, seconds))
            for peer, goal in training.peers.items():
                ratios = sorted(a / b for a, b in zip(speeds[""], speeds[peer], strict=True))
                low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
                ms = 1e3 / median(speeds[""])
                case = f"{training.case}, {variant}"
                yield Ratio("whole", case, peer, median(ratios), low, high, ms, torch.get_num_threads(), goal)


def our_speed(words: Sequence[str], seconds: float) -> float:
    """Examples a second of train.py."""
    with tempfile.TemporaryDirectory() as folder:
        limits = [
            f"trainer.max_time={{seconds: {seconds:g}}}",
            "trainer.limit_val_batches=1",
            "trainer.limit_test_batches=1",
        ]
        run_process(
            "train.py", *words, *limits, "epochs=1000", "baselines=none", "checkpoint.every_minutes=60",
            f"run_dir={folder}/run",
        )  # fmt: skip
        return json.loads((Path(folder) / "run" / "results.json").read_text())["speed"]["examples_per_second"]


def peer_speed(peer: str, words: Sequence[str], seconds: float) -> float:
    """Examples a second of a peer."""
    said = run_process("scripts/benchmarks/whole_peers.py", peer, "--seconds", f"{seconds:g}", *words)
    return float(said.split("speed ")[-1])


def environment(threads: int) -> dict[str, str]:
    """Environment of a process that finds this project and its benchmarks."""
    places = [str(ROOT), str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(filter(None, places))}


def run_process(script: str, *words: str) -> str:
    """Runs a script of the project with as many threads as this process has."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(ROOT / script), *words],
            cwd=folder,
            env=environment(torch.get_num_threads()),
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise UserError(f"{script} {' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return done.stdout

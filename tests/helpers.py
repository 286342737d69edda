"""What tests share: the command line, configs, small pictures and texts."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from PIL import Image

from mla_train.config.compose import to_typed_config
from tests.warm import run_script

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
SMALL = ["encoder=tiny", "encoder.dim=16", "encoder.num_heads=2"]


def train(*words, cwd, check=True, timeout=240, env=None):
    """Runs train.py as a user does, in a folder of its own."""
    return python("train.py", *words, cwd=cwd, check=check, timeout=timeout, env=env)


def python(file, *words, cwd, check=True, timeout=240, env=None):
    """Runs a script of the project in a process of its own: a fork, or a new one where its beginning matters."""
    file = ROOT / file
    if env or any("ddp" in word or "devices" in word for word in map(str, words)):
        command = [sys.executable, str(file), *words]
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=timeout, env=os.environ | (env or {}), check=False
        )
    else:
        done = run_script(file, words, cwd, timeout)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def config(*words):
    """A typed config, composed as train.py composes it."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return to_typed_config(compose("train", list(words)))


def task_of(data):
    """The task to which a data set of the project belongs."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", [f"data={data}"]).data._target_.split(".")[1]


def write_pictures(folder, classes=("cat", "dog"), count=12, size=(12, 12), colour=True):
    """Pictures whose brightness tells the class."""
    generator = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            shape = (*size[::-1], 3) if colour else size[::-1]
            pixels = generator.integers(0, 100, shape) + 150 * (number % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")


def write_reviews(file, count=30):
    """A table of short texts whose words tell the label."""
    words = {"good": ["fine", "nice", "great"], "bad": ["poor", "awful", "sad"]}
    with file.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["text", "label"])
        table.writerows([f"a {words[label][i % 3]} film, number {i}", label] for i in range(count) for label in words)


def hourly_table(rows=400, **columns):
    """Two series of hours with a daily cycle; one of them rises."""
    times = pd.date_range("2024-01-01", periods=rows, freq="1h")
    hours = np.arange(rows)
    values = {"load": np.sin(hours / 24 * 2 * np.pi) + 0.01 * hours, "price": np.cos(hours / 24 * 2 * np.pi) * 5}
    return pd.DataFrame({"date": times, **values, **columns})


def forecasting_config(folder, frame, *words, name="a.csv", **how):
    """A config of a small forecaster whose table is written into a folder."""
    if name.endswith(".parquet"):
        frame.to_parquet(folder / name)
    else:
        frame.to_csv(folder / name, index=False, **how)
    small = ["data.look_back=24", "data.horizon=6"]
    return config("task=forecasting", "data=series_csv", f"data.path={folder / name}", *small, *words)

"""Compares this model with PatchTST and iTransformer of the package neuralforecast: same windows, same training time.

    pip install neuralforecast
    python scripts/forecasting_peers.py --data ETTh1.csv --look-back 96 --horizon 96 experiment=etth1

This model is trained first; each peer is trained for at most as many seconds. Peers use their own defaults except for the
loss, the squared error. Scaling and splits are those of the literature, and every window of the test split is evaluated.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
BORDERS = {"ETTh1": (8640, 11520, 14400), "ETTh2": (8640, 11520, 14400)}


def ours(file: Path, look_back: int, horizon: int, seed: int, threads: int, overrides: list[str]) -> tuple[dict, float]:
    """Trains this model as a user does.

    Returns:
        Metrics of the test split, and seconds of training.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, str(ROOT / "train.py"), "task=forecasting", f"data={file.stem.lower()}",
            f"data.path={file.resolve()}", f"data.look_back={look_back}", f"data.horizon={horizon}", f"seed={seed}",
            f"hardware.threads={threads}", f"run_dir={folder}/run", *overrides,
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=sys.stderr)
        results = json.loads((Path(folder) / "run" / "results.json").read_text())
    return results["metrics"]["test"], results["speed"]["seconds"]


def peer(name: str, file: Path, look_back: int, horizon: int, seed: int, max_seconds: float) -> tuple[dict, float]:
    """Trains a peer for at most some seconds with its own defaults, and forecasts every window of the test split.

    Returns:
        Metrics of the test split, and seconds of training and forecasting.
    """
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MSE
    from neuralforecast.models import PatchTST, iTransformer

    a, b, end = BORDERS[file.stem]
    table = pd.read_csv(file, parse_dates=["date"]).iloc[:end]
    names = [column for column in table.columns if column != "date"]
    values = table[names].to_numpy(float)
    values = (values - values[:a].mean(0)) / values[:a].std(0)
    long = pd.concat(
        pd.DataFrame({"unique_id": name, "ds": table["date"], "y": values[:, i]}) for i, name in enumerate(names)
    )
    shared = {
        "h": horizon, "input_size": look_back, "loss": MSE(), "random_seed": seed, "max_time": {"seconds": max_seconds},
        "logger": False, "enable_progress_bar": False, "enable_model_summary": False,
    }  # fmt: skip
    model = PatchTST(**shared) if name == "PatchTST" else iTransformer(n_series=len(names), **shared)
    start = time.perf_counter()
    forecasts = NeuralForecast([model], freq="h").cross_validation(
        long, n_windows=None, val_size=b - a, test_size=end - b, step_size=1
    )
    seconds = time.perf_counter() - start
    windows = forecasts.groupby(["unique_id", "cutoff"]).ngroups / len(names)
    assert windows == end - b - horizon + 1, f"{windows} windows"
    error = forecasts[name].to_numpy() - forecasts["y"].to_numpy()
    return {"mse": float(np.mean(error**2)), "mae": float(np.mean(np.abs(error)))}, seconds


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="path of ETTh1.csv or ETTh2.csv")
    parser.add_argument("--look-back", type=int, default=96, help="number of steps that are read (default: 96)")
    parser.add_argument("--horizon", type=int, default=96, help="number of steps that are forecast (default: 96)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of each model (default: 0)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="number of CPU threads")
    parser.add_argument("overrides", nargs="*", help="options of train.py, such as experiment=etth1")
    arguments = parser.parse_intermixed_args()
    if find_spec("neuralforecast") is None:
        sys.exit("error: neuralforecast is missing: pip install neuralforecast")
    if arguments.data.stem not in BORDERS:
        sys.exit(f"error: --data {arguments.data}: must be one of {', '.join(BORDERS)}")
    if not arguments.data.is_file():
        sys.exit(f"error: --data {arguments.data}: no such file")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(arguments.threads)
    setting = (arguments.data, arguments.look_back, arguments.horizon)
    table = Table(title=f"{arguments.data.stem} {arguments.look_back} to {arguments.horizon}, test split")
    for column in ("", "mse", "mae", "seconds"):
        table.add_column(column, justify="right" if column else "left")
    for seed in arguments.seeds:
        scores, max_seconds = ours(*setting, seed, arguments.threads, arguments.overrides)
        rows = {"this model": (scores, max_seconds)}
        for name in ("PatchTST", "iTransformer"):
            rows[name] = peer(name, *setting, seed, max_seconds)
        for name, (metrics, seconds) in rows.items():
            table.add_row(f"{name}, seed {seed}", f"{metrics['mse']:.4f}", f"{metrics['mae']:.4f}", f"{seconds:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()

"""Our forecaster beside PatchTST and iTransformer of the package neuralforecast: same windows, same time to train.

    pip install neuralforecast
    python scripts/forecasting_peers.py --data ETTh1.csv --look-back 96 --horizon 96 experiment=etth1

Ours is trained first; the seconds which that took are the most that a peer gets. Peers have their own defaults but for the
loss, which is the squared error. Scaler and borders are the literature's, and every window of the test part is scored.
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


def ours(file: Path, look_back: int, horizon: int, seed: int, threads: int, words: list[str]) -> tuple[dict, float]:
    """Trains our forecaster as a user does.

    Returns:
        Scores on the test part, and seconds of training.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, str(ROOT / "train.py"), "task=forecasting", f"data={file.stem.lower()}",
            f"data.path={file.resolve()}", f"data.look_back={look_back}", f"data.horizon={horizon}", f"seed={seed}",
            f"hardware.threads={threads}", f"run_dir={folder}/run", *words,
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=sys.stderr)
        results = json.loads((Path(folder) / "run" / "results.json").read_text())
    return results["metrics"]["test"], results["speed"]["seconds"]


def peer(name: str, file: Path, look_back: int, horizon: int, seed: int, seconds: float) -> tuple[dict, float]:
    """Trains a peer for some seconds at most, with its own defaults, and forecasts every window of the test part.

    Returns:
        Scores on the test part, and seconds of training and forecasting.
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
        "h": horizon, "input_size": look_back, "loss": MSE(), "random_seed": seed, "max_time": {"seconds": seconds},
        "logger": False, "enable_progress_bar": False, "enable_model_summary": False,
    }  # fmt: skip
    model = PatchTST(**shared) if name == "PatchTST" else iTransformer(n_series=len(names), **shared)
    began = time.perf_counter()
    found = NeuralForecast([model], freq="h").cross_validation(
        long, n_windows=None, val_size=b - a, test_size=end - b, step_size=1
    )
    took = time.perf_counter() - began
    windows = found.groupby(["unique_id", "cutoff"]).ngroups / len(names)
    assert windows == end - b - horizon + 1, f"{windows} windows"
    error = found[name].to_numpy() - found["y"].to_numpy()
    return {"mse": float(np.mean(error**2)), "mae": float(np.mean(np.abs(error)))}, took


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="ETTh1.csv or ETTh2.csv")
    parser.add_argument("--look-back", type=int, default=96)
    parser.add_argument("--horizon", type=int, default=96)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("words", nargs="*", help="more for train.py, such as experiment=etth1")
    arguments = parser.parse_intermixed_args()
    if find_spec("neuralforecast") is None:
        sys.exit("error: the peers are a package: pip install neuralforecast")
    if arguments.data.stem not in BORDERS:
        sys.exit(f"error: --data {arguments.data}: must be one of {', '.join(BORDERS)}")
    if not arguments.data.is_file():
        sys.exit(f"error: --data {arguments.data}: there is no such file")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(arguments.threads)
    where = (arguments.data, arguments.look_back, arguments.horizon)
    table = Table(title=f"{arguments.data.stem} {arguments.look_back} to {arguments.horizon}, test part")
    for column in ("", "mse", "mae", "seconds"):
        table.add_column(column, justify="right" if column else "left")
    for seed in arguments.seeds:
        scores, seconds = ours(*where, seed, arguments.threads, arguments.words)
        rows = {"this model": (scores, seconds)}
        for name in ("PatchTST", "iTransformer"):
            rows[name] = peer(name, *where, seed, seconds)
        for name, (found, took) in rows.items():
            table.add_row(f"{name}, seed {seed}", f"{found['mse']:.4f}", f"{found['mae']:.4f}", f"{took:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()

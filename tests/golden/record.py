"""Golden curves: what the first steps of each task give, so that a change of the code cannot change a number unseen.

    python -m tests.golden.record            # compare with the files beside this one, to 1e-6 (`make golden`)
    python -m tests.golden.record --write    # make the files anew, in a commit of its own that says why

Rounding differs between processors and versions of torch: the strict comparison is for one machine, before and after a
change. `tests/test_golden.py` compares the first steps with a tolerance that others keep too.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from unittest import mock

import torch

FOLDER = Path(__file__).resolve().parent
STEPS = 50
STRICT = 1e-6
CASES = {
    "image": ["task=image_classification", "epochs=3"],
    "image_mha": ["task=image_classification", "epochs=3", "attention=mha", "regularization=strong"],
    "text": ["task=text_classification", "epochs=1", "task.start=none"],
    "text_convolutions": [
        "task=text_classification", "epochs=1", "task.start=none", "task.convolutions=[3,5]", "task.pooling=mean",
    ],
    "translation": [
        "task=translation", "epochs=1", "data.train_size=3200", "data.val_size=100", "data.test_size=60",
    ],
    "translation_gqa": [
        "task=translation", "epochs=1", "data.train_size=3200", "data.val_size=100", "data.test_size=60",
        "attention=gqa", "regularization=rdrop",
    ],
    "forecasting": ["task=forecasting", "epochs=1", "batch_size=256"],
    "forecasting_mixing": ["task=forecasting", "epochs=1", "batch_size=256", "task.channels=mixing", "task.loss=mse"],
    "multimodal": ["task=multimodal_sentiment", "epochs=3", "task.start=none"],
    "multimodal_bottleneck": [
        "task=multimodal_sentiment", "epochs=3", "task.start=none", "task.fusion=bottleneck", "attention=mqa",
    ],
}  # fmt: skip


class EnoughSteps(Exception):
    """As many steps are done as were asked for."""


@contextmanager
def recorded(steps):
    """Notes what the run logs; ends it after so many steps."""
    from mla_train.training.loggers import CsvLogger

    losses, val = [], {}
    log_metrics = CsvLogger.log_metrics

    def note(self, metrics, step=None):
        log_metrics(self, metrics, step)
        if "train/loss" in metrics:
            losses.append(metrics["train/loss"])
        val.update({name: value for name, value in metrics.items() if name.startswith("val/")})
        if len(losses) >= steps:
            raise EnoughSteps

    with mock.patch.object(CsvLogger, "log_metrics", note):
        yield losses, val


def record(case, steps=None):
    """Runs a case; without `steps` to its end.

    Returns:
        The losses of the first steps; of a whole run also the last validation metrics and a hash of the predictions.
    """
    from mla_train.config.overrides import compose_overrides
    from mla_train.task import Task
    from mla_train.training.run import run
    from mla_train.training.run_folder import find_run

    root = FOLDER.parent.parent
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        config = compose_overrides(root / "conf", [*CASES[case], "logger.every=1", f"run_dir={path}"])
        import_module(f"{config.task._target_.rpartition('.')[0]}.task")
        kinds = [Task, *Task.__subclasses__()]
        with ExitStack() as stack:
            losses, val = stack.enter_context(recorded(steps or math.inf))
            for kind in kinds:  # baselines take long and are no part of what is compared
                stack.enter_context(mock.patch.object(kind, "baselines", return_value={}))
            try:
                run(config, find_run(config))
            except EnoughSteps:
                return {"losses": losses}
        predictions = hashlib.sha256((path / "predictions.jsonl").read_bytes()).hexdigest()
    return {"losses": losses[:STEPS], "val": val, "predictions": predictions}


def differences(found, expected, tolerance):
    """What differs: each a line."""
    told = []
    for step, (one, other) in enumerate(zip(found["losses"], expected["losses"], strict=False), 1):
        if not math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance):
            told.append(f"loss of step {step}: {one!r}, was {other!r}")
            break
    if "val" in found:
        for name, value in expected["val"].items():
            if not math.isclose(found["val"].get(name, math.nan), value, rel_tol=tolerance, abs_tol=tolerance):
                told.append(f"{name}: {found['val'].get(name)!r}, was {value!r}")
        if found["predictions"] != expected["predictions"]:
            told.append("predictions.jsonl")
    return told


def main():
    """Compares or writes all files, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--write", action="store_true", help="make the files anew")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sys.argv = ["train.py"]
    os.environ["WANDB_MODE"] = "offline"
    wrong = 0
    for case in options.cases or CASES:
        file = FOLDER / f"{case}.json"
        found = record(case)
        if options.write:
            versions = {"torch": torch.__version__, "machine": platform.machine()}
            content = {"command": " ".join(["python train.py", *CASES[case]]), **versions, **found}
            file.write_text(json.dumps(content, indent=1) + "\n")
            print(f"{case}: written", flush=True)
            continue
        told = differences(found, json.loads(file.read_text()), STRICT)
        wrong += bool(told)
        print(f"{case}: {'; '.join(told) or 'the same'}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

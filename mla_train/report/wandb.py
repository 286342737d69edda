"""Runs on Weights & Biases: curves, tables, figures, attention maps and models; offline unless the user is logged in."""

import json
import logging
import netrc
import os
import sys
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from mla_train.config import TrainConfig, WandbMode
from mla_train.dataset import Dataset
from mla_train.errors import UserError
from mla_train.explain.draw_attention import draw_attention
from mla_train.heads import Head
from mla_train.inference.artifact import Artifact, load_model, save_model
from mla_train.masking import mask_values, mask_word
from mla_train.modalities.audio.explain import spectrogram_image
from mla_train.safe_files import write_atomically
from mla_train.training.checkpoint_files import model_weights
from mla_train.training.run import FinishedRun
from mla_train.training.run_folder import plain

STEP = "trainer/global_step"
"""Lightning's name of the x axis of all curves."""
TABLE_ROWS = 100
ATTENTION_EXAMPLES = 4


class WandbTracker:
    """Logs a run to W&B, see `Tracker` in mla_train/training/run.py."""

    def __init__(self) -> None:
        self._logger: WandbLogger | None = None

    def logger(self, config: TrainConfig, folder: Path, directions: Mapping[str, str]) -> WandbLogger:
        """Lightning's logger; the id of the run is stored in the folder before anything is logged.

        Args:
            config: Config of the run, with `logger.wandb`.
            folder: Run folder; offline files go to its wandb/.
            directions: Name of each validation metric to "max" or "min". The summary holds the best value of these
                and the last value of all others.
        """
        options = config.logger.wandb
        assert options is not None
        mode = options.mode
        if mode is WandbMode.auto:
            mode = WandbMode.online if logged_in() else WandbMode.offline
        kind = config.attention.kind.value
        # Files that wait for upload stay in the run folder, not in the home directory.
        os.environ["WANDB_DATA_DIR"] = str((folder / "wandb").resolve())
        self._logger = logger = WandbLogger(
            project=options.project,
            entity=options.entity,
            name=options.name or run_name(folder, options.group),
            group=options.group,
            job_type=options.job_type,
            tags=mask_values(list(dict.fromkeys([config.task.name, config.data.name, kind, *options.tags]))),
            id=run_id(folder),
            save_dir=folder.resolve(),  # W&B's own process may have another working directory
            offline=mode is WandbMode.offline,
        )
        command = sys.argv
        try:
            sys.argv = [mask_word(word) for word in command]  # W&B stores it when the run begins
            logger.log_hyperparams(mask_values(plain(config)))
        finally:
            sys.argv = command
        for name, direction in {"loss": "min", **directions}.items():
            logger.experiment.define_metric(f"val/{name}", step_metric=STEP, step_sync=True, summary=direction)
        return logger

    def log_run(self, run: FinishedRun) -> None:
        """Logs the results and, of a run with a test split, the models, tables, figures and attention maps."""
        assert self._logger is not None
        names = ("baselines", "intervals", "val_intervals", "comparison", "start", "model", "monitor")
        self._logger.experiment.summary.update({name: run.results[name] for name in names})
        if not run.config.test:
            return
        last = run.folder.path / "wandb" / "last_model"
        save_model(model_weights(run.folder.checkpoints / "last.ckpt"), run.data.spec, run.config, last)
        log_model(self._logger, {"last": last, "best": run.folder.model})
        with TemporaryDirectory() as drawn:
            self._logger.log_metrics(media(run, Path(drawn)), run.step)

    def close(self, succeeded: bool) -> None:
        """Ends the run on W&B."""
        wandb.finish(exit_code=0 if succeeded else 1)


def logged_in() -> bool:
    """Whether a W&B key is in the environment or in the file where `wandb login` puts it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        file = os.environ.get("NETRC") or str(Path.home() / ".netrc")
        host = urlparse(wandb.Settings().base_url).hostname or ""
        return netrc.netrc(file).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def default_entity() -> str | None:
    """User or team of runs whose config names none."""
    return wandb.Api().default_entity


def run_id(folder: Path) -> str:
    """The id of a run, stored in wandb/run_id; under `wandb agent` the id that the agent gives."""
    file = folder / "wandb" / "run_id"
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        given = os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None
        write_atomically(file, given or uuid.uuid4().hex[:12])
    return file.read_text().strip()


def run_name(folder: Path, group: str | None) -> str:
    """Name of the run folder; inside the folder of its group the path from there."""
    *parents, name = folder.parts
    return "/".join([*parents[parents.index(group) + 1 :], name]) if group in parents else name


def log_model(logger: WandbLogger, models: Mapping[str, Path]) -> None:
    """Logs models, each with an alias, as versions of one artifact, which `mla_train.load` reads once downloaded."""
    for alias, folder in models.items():
        artifact = wandb.Artifact(f"model-{logger.experiment.id}", type="model")
        for file in folder.iterdir():
            # Immutable: uploaded from where it is, without a copy.
            artifact.add_file(str(file.resolve()), f"model/{file.name}", policy="immutable")
        logger.experiment.log_artifact(artifact, aliases=[alias])


def media(run: FinishedRun, folder: Path) -> dict[str, Any]:
    """Tables `samples` and `mistakes`, `figures/NAME`, and `attention_maps/NAME` of some test examples."""
    artifact = load_model(run.folder.path, config=run.config)
    lines = (run.folder.path / "predictions.jsonl").read_text().splitlines()
    logged = prediction_tables(artifact.model.head, run.data, [json.loads(line) for line in lines])
    for file in sorted(run.folder.figures.glob("*.png")):
        logged[f"figures/{file.stem}"] = wandb.Image(str(file))
    places = spread(range(run.data.count("test")), ATTENTION_EXAMPLES)
    return logged | attention_maps(artifact, run.data, places, folder)


def spread(values: Sequence[Any], count: int) -> list[Any]:
    """At most `count` values, evenly from the first to the last."""
    return [values[int(place)] for place in np.linspace(0, len(values) - 1, min(count, len(values)))]


def prediction_tables(head: Head, data: Dataset, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Tables of samples of all predictions, and of the mistakes with the worst first."""
    tables = {}
    if rows:
        tables["samples"] = prediction_table(head, data, spread(rows, TABLE_ROWS))
    mistakes = sorted((row for row in rows if head.example_error(row) > 0), key=head.example_error, reverse=True)
    if mistakes:
        tables["mistakes"] = prediction_table(head, data, mistakes[:TABLE_ROWS])
    return tables


def prediction_table(head: Head, data: Dataset, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Predictions as a W&B table, beside the images of their examples."""
    cells = [{**images(data, row["index"]), **flat(row), "error": head.example_error(row)} for row in rows]
    columns: list[str | int] = list(dict.fromkeys(name for row in cells for name in row))
    return wandb.Table(columns, [[row.get(str(name)) for name in columns] for row in cells], allow_mixed_types=True)


def images(data: Dataset, place: int) -> dict[str, Any]:
    """Inputs of a test example that are images, and spectrograms."""
    arrays = {}
    for name, raw in data.test.raw(place).items():
        if data.spec.inputs[name].kind == "audio":
            arrays[name] = spectrogram_image(torch.from_numpy(raw))
        elif isinstance(raw, Tensor) and raw.dim() == 3:
            arrays[name] = raw
    return {name: wandb.Image(image.permute(1, 2, 0).numpy().astype(np.uint8)) for name, image in arrays.items()}


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with a column for each entry of its nested dicts, such as `contribution.text`."""
    columns: dict[str, Any] = {}
    for name, value in row.items():
        columns |= {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
    return columns


def attention_maps(artifact: Artifact, data: Dataset, places: Sequence[int], folder: Path) -> dict[str, Any]:
    """Maps of the last layer and statistics of heads, as lists of W&B images with one image an example."""
    maps: defaultdict[str, list[Any]] = defaultdict(list)
    for place in places:
        target = folder / str(place)
        target.mkdir()
        try:
            explanation = artifact.task.explain(artifact.model, data.test.raw(place))
            files = draw_attention(artifact.model, explanation, None, target)
        except UserError as error:  # this task or kind of attention has no maps
            logging.getLogger(__name__).info("no attention maps: %s", error)
            return {}
        caption = f"{place}: {explanation.prediction}"
        for file in files:
            if file.suffix == ".png":
                maps[f"attention_maps/{file.stem}"].append(wandb.Image(str(file), caption=caption))
    return dict(maps)

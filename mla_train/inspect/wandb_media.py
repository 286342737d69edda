"""What a run leaves for people, shown on W&B: tables of samples and mistakes, figures, where the model looks."""

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from mla_train.data.module import DataModule
from mla_train.errors import UserError
from mla_train.explain.draw_attention import draw_attention
from mla_train.training.model_folder import load_model
from mla_train.training.run_folder import RunFolder
from mla_train.training.task import Task

ROWS = 100
"""Of a table, at most."""
LOOKS = 4
"""Examples of which attention is drawn."""


def log_media(logger: WandbLogger, data: DataModule, folder: RunFolder, step: int) -> None:
    """Logs tables `samples` and `mistakes`, `figures/NAME`, and `attention_maps/NAME` of some test examples.

    Args:
        logger: Of the run.
        data: After its `setup`.
        folder: A finished run's.
        step: Its last.
    """
    import wandb

    task = load_model(folder.path)
    rows = [json.loads(line) for line in (folder.path / "predictions.jsonl").read_text().splitlines()]
    media: dict[str, Any] = {}
    if rows:
        media["samples"] = table(task, data, spread(rows, ROWS))
    wrong = sorted((row for row in rows if task.error(row) > 0), key=task.error, reverse=True)
    if wrong:
        media["mistakes"] = table(task, data, wrong[:ROWS])
    for file in sorted(folder.figures.glob("*.png")):
        media[f"figures/{file.stem}"] = wandb.Image(str(file))
    with TemporaryDirectory() as drawn:
        media |= attention_maps(task, data, spread(range(data.count("test")), LOOKS), Path(drawn))
        logger.log_metrics(media, step)


def spread(values: Sequence[Any], most: int) -> list[Any]:
    """So many values at most, evenly from the first to the last."""
    return [values[int(place)] for place in np.linspace(0, len(values) - 1, min(most, len(values)))]


def table(task: Task, data: DataModule, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows of predictions.jsonl as W&B's table, beside the pictures that their examples have.

    Args:
        task: Whose predictions.
        data: Whose test split.
        rows: All with the same keys.
    """
    import wandb

    shown = [{**pictures(task, data, row["index"]), **flat(row), "error": task.error(row)} for row in rows]
    columns: list[str | int] = list(dict.fromkeys(name for row in shown for name in row))
    return wandb.Table(columns, [[row.get(str(name)) for name in columns] for row in shown], allow_mixed_types=True)


def pictures(task: Task, data: DataModule, index: int) -> dict[str, Any]:
    """The parts of a test example that are pictures; none where the task does not show its examples."""
    import wandb

    try:
        raw = task.raw(data, index)
    except UserError:
        return {}
    parts = {name: part for name, part in raw.items() if isinstance(part, Tensor) and part.dim() == 3}
    return {name: wandb.Image(part.permute(1, 2, 0).numpy().astype(np.uint8)) for name, part in parts.items()}


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose nested dicts have become columns of their own, such as `contribution.text`."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        found |= {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
    return found


def attention_maps(task: Task, data: DataModule, places: Sequence[int], folder: Path) -> dict[str, Any]:
    """Maps of the last layer and statistics of heads, as lists of W&B's images, one an example.

    Args:
        task: The model.
        data: Whose test split.
        places: Of the examples.
        folder: For files until the run has logged them.
    """
    import wandb

    found: defaultdict[str, list[Any]] = defaultdict(list)
    for place in places:
        into = folder / str(place)
        into.mkdir()
        try:
            explanation = task.explain(task.raw(data, place))
            files = draw_attention(task, explanation, None, into)
        except UserError as error:  # of this task or kind of attention there is nothing to see
            logging.getLogger(__name__).info("no attention maps: %s", error)
            return {}
        for file in files:
            if file.suffix == ".png":
                found[f"attention_maps/{file.stem}"].append(
                    wandb.Image(str(file), caption=f"{place}: {explanation.prediction}")
                )
    return dict(found)

"""How good and how fast the graphs of a folder are, beside each other and beside PyTorch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch

from mla_train.data.batch import Batch
from mla_train.data.sampling import evaluation_batches
from mla_train.dataset import Dataset, Split
from mla_train.heads import Head
from mla_train.heads.base import Predictions, merge
from mla_train.heads.ranking_metrics import ranked
from mla_train.inference.export.inputs import to_graph
from mla_train.inference.export.runtime.infer_onnx import Model as OnnxModel
from mla_train.inference.predictor import Predictor
from mla_train.modalities.series.transforms import transformed

ROUNDS = 5
EXAMPLES = 20  # that are timed, one by one


def onnx_metrics(folder: Path, predictor: Predictor, split: Split) -> dict[str, float]:
    """Metrics of the graphs of a folder on a split; texts are written greedily."""
    data, model, head = Dataset(predictor.spec, split, split, split), OnnxModel(folder), predictor.network.head
    parts = []
    for places in evaluation_batches(len(split), 32, lengths=data.lengths("test")):
        batch: Batch = data.collate([split[place] for place in places], training=False)
        columns = {"index": batch.index.numpy()} | head.labels(batch)
        parts.append(columns | _predictions(model, head, arrays_of(predictor, batch), columns))
    return head.metrics(merge(parts))


def arrays_of(predictor: Predictor, batch: Batch) -> dict[str, np.ndarray]:
    """A batch as arrays that graphs read."""
    return {name: tensor.numpy() for name, tensor in to_graph(predictor.network, batch).items()}


def _predictions(model: OnnxModel, head: Head, arrays: Mapping[str, np.ndarray], labels: Predictions) -> Predictions:
    """Columns of `Head.predict` from what graphs answer, and from the labels where these are ranked."""
    if head.kind == "generation":
        rows = len(next(iter(arrays.values())))
        records = [model.write({name: a[row : row + 1] for name, a in arrays.items()}) for row in range(rows)]
        return {"predicted": [each["prediction"] for each in records], "score": np.array([r["score"] for r in records])}
    if head.kind == "ranking":
        with np.errstate(divide="ignore"):
            return ranked(np.log(model.run("model", dict(arrays))["probability"]), labels["label"])
    answers = {name: torch.from_numpy(array) for name, array in model.run("model", dict(arrays)).items()}
    return head.read_outputs(_outputs(head, answers))


def _outputs(head: Any, answers: Mapping[str, torch.Tensor]) -> Any:
    """Outputs of a head from its answers in the units of the data; the inverse of `AnswerGraph`."""
    if head.kind == "classification":
        return answers["probability"].log()
    if head.kind == "multilabel":
        return answers["probability"].logit()
    spec = head.spec
    if head.kind == "regression":
        return ((answers["prediction"] - spec.mean) / spec.std).unsqueeze(-1)
    mean, std = (torch.tensor(values, dtype=torch.double).view(-1, 1) for values in (spec.mean, spec.std))
    quantiles = answers["quantiles"] if head.levels else answers["forecast"].unsqueeze(-1)
    forecast, quantiles = (transformed(values, spec.transform) for values in (answers["forecast"], quantiles))
    return (forecast - mean) / std, (quantiles - mean.unsqueeze(-1)) / std.unsqueeze(-1)


def latencies(folders: Mapping[str, Path], predictor: Predictor, split: Split) -> dict[str, float]:
    """Median milliseconds for one example: of PyTorch as `pytorch`, and of the graphs of each folder.

    They take turns, so that what else the computer does slows all of them alike. Preprocessing is not counted, and texts
    are written greedily.
    """
    data, network = Dataset(predictor.spec, split, split, split), predictor.network
    batches = [data.collate([split[place]], training=False) for place in range(min(EXAMPLES, len(split)))]
    for batch in batches:
        batch.targets = None
    arrays = [arrays_of(predictor, batch) for batch in batches]

    def eager(place: int) -> None:
        with torch.inference_mode():
            if network.head.kind == "generation":
                head: Any = network.head
                head.generate(head.memory(network.encode(batches[place])))
            else:
                network(batches[place])

    def runner(model: OnnxModel) -> Callable[[int], Any]:
        run = model.write if network.head.kind == "generation" else lambda values: model.run("model", values)
        return lambda place: run(arrays[place])

    calls = {"pytorch": eager} | {
        name: runner(OnnxModel(folder, torch.get_num_threads())) for name, folder in folders.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(ROUNDS + 1):
        for place in range(len(batches)):
            for name, call in calls.items():
                start = perf_counter()
                call(place)
                if turn:  # the first warms up
                    seconds[name].append(perf_counter() - start)
    return {name: 1000 * median(values) for name, values in seconds.items()}


def size_of(folder: Path, endings: Sequence[str] = (".onnx", ".pt2", ".safetensors")) -> int:
    """Bytes of the weights and graphs of a folder."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.suffix in endings)

"""The base class of tasks: inputs, kind of answer, baselines. Knows nothing of optimizers or devices."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from mla_train.ablation import ablation_metrics, draw_ablation
from mla_train.baselines.base import Baselines
from mla_train.config import HeadKind, Start, TrainConfig
from mla_train.data.examples import RawData
from mla_train.data.reading import import_object, read
from mla_train.dataset import Dataset
from mla_train.errors import UserError, require
from mla_train.heads import HEADS, Head, Predictions
from mla_train.modalities import MODALITIES, Modality
from mla_train.model import Model, ModelSpec
from mla_train.preparation import prepare
from mla_train.stored_spec import read_spec

if TYPE_CHECKING:
    from mla_train.explain.explanation import Explanation


class Task:
    """A task: inputs, a head, baselines.

    Args:
        config: Full config of the run.

    Attributes:
        inputs: Kind of each input.
        head: Kind of answer; None takes it from the labels, see `choose_head`.
        heads: Kinds of answer by name, where a task has its own.
    """

    inputs: ClassVar[Mapping[str, type[Modality]]] = {}
    head: ClassVar[type[Head] | None] = None
    heads: ClassVar[Mapping[str, type[Head]]] = HEADS

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    # Data.

    def read(self) -> RawData:
        """Raw examples of the data set that the config names: `data._target_`, called with the `data` options."""
        return read(self.config.data)

    def prepare(self, raw: RawData) -> Dataset:
        """Splits that a network reads."""
        kinds = self.input_kinds(list(raw.splits["train"].inputs))
        return prepare(raw, kinds, self.choose_head(raw), self.config)

    def load_data(self) -> Dataset:
        """Reads and prepares the data set of the config."""
        return self.prepare(self.read())

    def input_kinds(self, names: Sequence[str]) -> dict[str, type[Modality]]:
        """Kind of each input that the data has, by their names."""
        return {name: self.inputs[name] for name in names}

    def choose_head(self, raw: RawData) -> type[Head]:
        """Kind of answer: the task's own, that of `task.head`, or what the labels are."""
        if self.head is not None:
            return self.head
        asked = getattr(self.config.task, "head", HeadKind.auto)
        if asked is not HeadKind.auto:
            return self.heads[asked.value]
        head = self.head_of_labels(raw)
        if head.kind == "regression":
            raw.notes.append("labels are decimal numbers: this is a regression (task.head=classification for classes)")
        return head

    def head_of_labels(self, raw: RawData) -> type[Head]:
        """Kind of answer that the training labels are."""
        separator = getattr(self.config.data, "label_separator", None)
        labels = raw.splits["train"].targets
        require(
            self.head is not None or not isinstance(labels, list) or any(label is not None for label in labels),
            "there are no labels: name their column with data.label_column=, or pretrain without them (docs/pretraining.md)",
        )
        return self.heads[kind_of_labels(labels, separator)]

    # Network.

    @property
    def architecture(self) -> str:
        """The network in a word: its kind of attention, or those of encoder, decoder and between them."""
        name = getattr(self.config.task, "architecture_name", None)
        return self.config.attention.kind.value if name is None else name(self.config.attention)

    def build_model(self, spec: ModelSpec) -> Model:
        """The network; raises UserError where sizes do not fit each other."""
        try:
            return Model(self.config, spec)
        except (ValueError, RuntimeError, ZeroDivisionError) as error:
            raise UserError(f"these sizes do not make a network: {error}") from error

    def load_spec(self, stored: Any, file: Path) -> ModelSpec:
        """The spec of a stored model; raises UserError where it holds other values than it must.

        Args:
            stored: Plain values, as `ModelSpec.to_dict` makes them.
            file: File that they were read from.
        """
        kinds = {**MODALITIES, **{kind.kind: kind for kind in self.inputs.values()}}
        heads = {**self.heads, **({self.head.kind: self.head} if self.head is not None else {})}
        return read_spec(stored, kinds, heads, str(file))

    def init_from_data(self, model: Model, data: Dataset) -> str:
        """Sets weights that are computed from the data; called before the first step, not when a run resumes.

        Returns:
            Name of the simple model as which the network can already answer, which is validated, and kept unless training
            betters it; empty where it is none.
        """
        for name, embedding in model.embeddings.items():
            embedding.init_from_data(data.train.columns[name])  # type: ignore[operator]
        if getattr(self.config.task, "start", Start.none) is Start.none or self.config.debug.overfit:
            return ""
        from mla_train.baselines.start import begin_as_linear

        begun = begin_as_linear(model, data, quick=self.config.debug.fast)
        return begun[0] if begun is not None else ""

    def raw_inputs(self, spec: ModelSpec) -> list[str]:
        """Names of the inputs of a raw example; a value without a name belongs to the first."""
        return list(spec.inputs)

    def explain(self, model: Model, raw: Mapping[str, Any]) -> "Explanation":
        """The prediction for a raw example, with what explains it.

        Raises:
            UserError: The example cannot be read, or this kind of input is not explained.
        """
        from mla_train.explain.explanation import explain_example

        return explain_example(model, raw)

    # Evaluation.

    def baselines(self, data: Dataset) -> Baselines:
        """How each simple model that the network has to beat is computed, by name."""
        return {}

    def prediction_rows(self, model: Model, predictions: Predictions, data: Dataset) -> list[dict[str, Any]]:
        """Rows of predictions.jsonl: the example, its label, the prediction."""
        test, rows = data.test, []
        labels, records = model.head.decode_labels(predictions), model.head.decode(predictions)
        for place, label, record in zip(predictions["index"], labels, records, strict=True):
            row: dict[str, Any] = {"index": int(place)}
            if test.names:
                name = test.names[place]
                row |= {"id": name.id} if getattr(name, "id", "") else {}
                row["row" if "source" in data.spec.inputs else "source"] = str(name)
            texts = {name: raw for name, raw in test.raw(place).items() if isinstance(raw, str)}
            record = {key: value for key, value in record.items() if key != "probabilities"}
            rows.append(row | texts | {"label": label} | record)
        for name in data.spec.inputs:
            for row, value in zip(rows, predictions.get(f"contribution {name}", ()), strict=False):
                row.setdefault("contribution", {})[name] = round(float(value), 4)
        return rows

    def details(self, model: Model, predictions: Predictions) -> dict[str, Any]:
        """More about the test split for results.json: details of the head, and metrics with and without each input."""
        ablation = ablation_metrics(model.head, predictions, list(model.spec.inputs))
        return model.head.details(predictions) | ({"ablation": ablation} if ablation else {})

    def figures(self, model: Model, predictions: Predictions, data: Dataset, folder: Path) -> None:
        """Draws PNG figures of the test split into a folder: those of the head, and the most certain mistakes."""
        from mla_train.heads.figures import draw_mistakes, write_mistakes

        model.head.figures(predictions, folder)
        draw_ablation(model.head, predictions, list(data.spec.inputs), folder / "ablation.png")
        if model.head.kind != "classification":
            return
        classes, columns, names = data.spec.target.names, data.test.columns, data.test.names
        for name, modality in data.spec.inputs.items():
            if modality.kind == "image":
                draw_mistakes(predictions, columns[name].images, classes, folder / "mistakes.png", names)
            if modality.kind == "text":
                write_mistakes(predictions, columns[name].texts, classes, folder / "mistakes.md", names)


def kind_of_labels(labels: Sequence[Any], separator: str | None) -> str:
    """Kind of answer: lists or cells with a separator are multilabel, decimal numbers a regression, all else classes."""
    if separator is not None or any(isinstance(label, list | tuple) for label in labels):
        return "multilabel"
    if isinstance(labels, np.ndarray | torch.Tensor):
        return "regression" if np.asarray(labels).dtype.kind == "f" else "classification"
    try:
        numbers = [float(label) for label in labels if not isinstance(label, bool)]
    except (TypeError, ValueError):
        return "classification"
    return "regression" if any(isfinite(number) and number % 1 for number in numbers) else "classification"


def build_task(config: TrainConfig) -> Task:
    """The task that the config names; raises UserError where it names something else."""
    kind: Any = import_object(config.task._target_)
    if not (isinstance(kind, type) and issubclass(kind, Task)):
        raise UserError(f"task._target_={config.task._target_} is no Task: derive the class from mla_train.task.Task")
    return kind(config)

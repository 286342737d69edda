"""What a kind of answer must offer: targets as tensors, a layer, a loss, predictions as records, metrics."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from mla_train.data.batch import Batch
from mla_train.errors import require
from mla_train.modalities.base import Modality, ModalityFeatures

Predictions = dict[str, Any]
"""Columns of equal length, one row an example: numpy arrays or lists."""
RawTargets = Mapping[str, Sequence[Any]]
"""Targets of "train", and of "val" and "test" where they are given."""
Embeddings = Mapping[str, Any]
"""Embedding of each input, by name."""
Inputs = Mapping[str, Modality]
"""Each input with its spec, by name."""
Kinds = Mapping[str, type[Modality]]
"""Kind of each input, by name."""
Columns = Mapping[str, Any]
"""Values of each input over a split, by name."""


def merge(parts: list[Predictions]) -> Predictions:
    """Joins the predictions of batches, which are emptied, and brings them into the order of the split, as `index` says."""
    index = np.concatenate([part["index"] for part in parts])
    order = np.argsort(index)
    if len(np.unique(index)) != len(index):
        raise RuntimeError("an example was evaluated twice")
    joined: Predictions = {}
    in_order = bool((order[1:] > order[:-1]).all())
    for name, first in list(parts[0].items()):
        pieces = [part.pop(name) for part in parts]  # so that a large column is not there twice for long
        if isinstance(first, np.ndarray):
            column: Any = np.concatenate(pieces)
            joined[name] = column if in_order else column[order]
        else:
            column = [item for piece in pieces for item in piece]
            joined[name] = [column[i] for i in order]
    return joined


def rows_of(predictions: Predictions, places: np.ndarray) -> Predictions:
    """Some rows of predictions."""
    return {
        name: column[places] if isinstance(column, np.ndarray) else [column[place] for place in places]
        for name, column in predictions.items()
    }


def columns_of(records: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """Numbers by name as columns, `(records,)`."""
    return {name: np.array([record[name] for record in records]) for name in (records[0] if records else ())}


def padding_of(features: ModalityFeatures) -> Tensor:
    """True at padding of an input's tokens, `(batch, length)`; all False where there is none."""
    if features.padding is not None:
        return features.padding
    assert features.tokens is not None
    return torch.zeros(features.tokens.shape[:2], dtype=torch.bool, device=features.tokens.device)


@dataclass
class Explained:
    """The number that an explanation attributes to units of an example.

    Attributes:
        score: Function from outputs to the number, `(examples,)`.
        name: Name of the number.
        prediction: Prediction of the example, as text.
        forecast: Values predicted to follow a series, in its unit, `(steps,)`; None without a series.
    """

    score: Callable[[Any], Tensor]
    name: str
    prediction: str
    forecast: np.ndarray | None = None


class Head(nn.Module):
    """One kind of answer.

    Class methods turn targets of the data into arrays and tensors; the module turns encoded tokens into answers. One name
    means the same in all of them:

        spec          what is known of the targets, a `spec_class`
        targets       targets of a split, as `load_targets` gives them
        options       `data` options of the run
        notes         lines for the user, to which more may be added
        features      encoded tokens of each input
        batch         batch that they were made of
        outputs       what `forward` returns for it
        predictions   columns of `predict` and `labels` over a whole split

    Args:
        config: Full config of the run.
        spec: Spec of the targets.
        embeddings: Embedding of each input.
        sequences: Whether examples form sequences, such as the utterances of a video, and may see each other.

    Attributes:
        kind: Name of the kind of answer.
        spec_class: Dataclass of what is known of the targets, plain values kept with the model.
        directions: Name of each metric to "max" or "min".
        monitor: Metric of the validation split that chooses the best checkpoint.
        units: Name of a metric to its unit, where it has one.
        units_note: Meaning of these units, where they do not say it themselves.
        draws_sums: Whether `metrics_of_draws` adds up what is computed once for each example.
        even_tokens: Whether training batches hold as many tokens each instead of as many examples.
        is_causal: Whether each token sees itself and earlier ones of its input only.
        pool: Number of batches whose examples are sorted by length together: more leaves less padding and less chance.
    """

    kind: ClassVar[str]
    spec_class: ClassVar[type]
    directions: Mapping[str, str]
    monitor: str
    units: Mapping[str, str] = {}
    units_note: str = ""
    draws_sums: ClassVar[bool] = False
    even_tokens: ClassVar[bool] = False
    pool: ClassVar[int] = 50
    is_causal: ClassVar[bool] = False

    # Targets.

    @classmethod
    @abstractmethod
    def load_targets(cls, targets: RawTargets, options: Any, notes: list[str]) -> tuple[Any, dict[str, Any]]:
        """Reads the targets of all splits, before missing splits are cut from train.

        Returns:
            The spec as far as it is known, and an array or a list for each split.

        Raises:
            UserError: Targets are not what this head predicts.
        """

    @classmethod
    def read_targets(cls, spec: Any, targets: Sequence[Any], options: Any, notes: list[str]) -> tuple[Any, np.ndarray]:
        """Targets of new examples, and True where the trained model knows them, `(examples,)`; notes say how they were read.

        Raises:
            UserError: Targets are not what this head predicts.
        """
        return cls.load_targets({"train": targets}, options, notes)[1]["train"], np.ones(len(targets), dtype=bool)

    @classmethod
    def fit_targets(cls, spec: Any, train: Any) -> Any:
        """The spec, completed by the training targets."""
        return spec

    @classmethod
    def fit(
        cls, spec: Any, targets: Any, kinds: Kinds, columns: Columns, options: Any
    ) -> tuple[Any, dict[str, Modality]]:
        """Specs of the targets and of inputs of some kinds, learned from the training split.

        Both are fitted together because written texts may share the vocabulary of an input.
        """
        spec = cls.fit_targets(spec, targets)
        return spec, {name: kind.fit(columns[name], options) for name, kind in kinds.items()}

    @classmethod
    def is_dropped(cls, spec: Any, targets: Any, inputs: Inputs, columns: Columns, options: Any) -> np.ndarray | None:
        """True where an example of train or val is left out because it is too long, `(examples,)`; None keeps all."""
        return None

    @classmethod
    def prepare_targets(
        cls, spec: Any, targets: Any, split: str, inputs: Inputs, columns: Columns, notes: list[str]
    ) -> Any:
        """Targets of a split as `collate` takes them; its columns are prepared."""
        return targets

    @classmethod
    def groups(cls, columns: Columns, options: Any) -> np.ndarray | None:
        """Number of each example's group, `(examples,)`, which stays in one split; None where each is alone."""
        return None

    @classmethod
    def strata(cls, targets: Any) -> np.ndarray | None:
        """Groups of which each split gets its share, `(examples,)`; None splits at random."""
        return None

    @classmethod
    @abstractmethod
    def collate(cls, spec: Any, targets: Sequence[Any], training: bool) -> Any:
        """Targets of a batch as tensors."""

    @classmethod
    def lengths(cls, inputs: np.ndarray | None, targets: Any) -> np.ndarray | None:
        """Length of each example, by which batches are bucketed, from its number of input tokens and its prepared target.

        None where all are alike.
        """
        return inputs

    # Choices by the data.

    def choose_monitor(self, name: str | None) -> None:
        """Takes another metric as monitor; None keeps it.

        Raises:
            UserError: The head has no such metric.
        """
        names = ", ".join(self.directions)
        require(name is None or name in self.directions, f"task.monitor={name}: must be one of {names}")
        self.monitor = name or self.monitor

    def choices(self) -> list[str]:
        """What the head chose by the data, as lines for the user."""
        return []

    def tune(self, predictions: Predictions) -> Predictions:
        """Fits how outputs become answers to the predictions of val, and returns these with the new answers."""
        return predictions

    def calibrate(self, predictions: Predictions) -> bool:
        """Fits how sure the answers of the trained network are to its predictions for val; returns whether that changes them."""
        return False

    # The network.

    def take_encoder(self, encoder: nn.Module | None) -> None:
        """Shows the encoder to a head that runs it once more for its answers."""

    def embed(self, name: str, embedding: Any, batch: Batch) -> ModalityFeatures:
        """Tokens of an input; a head that hides a part of it takes that away here."""
        return embedding(batch.inputs[name])

    def prepend(self, name: str, features: ModalityFeatures) -> ModalityFeatures:
        """Tokens of an input with those that the head puts in front of them, before the encoder."""
        return features

    @property
    def prepended(self) -> int:
        """Number of tokens put in front of those of an input."""
        return 0

    @abstractmethod
    def forward(self, features: dict[str, ModalityFeatures], batch: Batch) -> Any:
        """Outputs for a batch."""

    @abstractmethod
    def loss(self, outputs: Any, batch: Batch) -> tuple[Tensor, int | Tensor]:
        """Sum of the losses of a batch, and the number of terms in it.

        The run divides by the number over all processes and accumulation steps, so that without dropout a batch gives
        the same step however it is cut.
        """

    def r_drop_loss(self, first: Any, second: Any, batch: Batch) -> Tensor:
        """Divergence of two passes with different dropout: a quarter of KL(p|q) + KL(q|p), summed (Liang et al. 2021).

        Beside the mean of both losses this is the paper's sum of both with half the divergence, halved. Here the outputs of
        both passes are class scores, `(..., classes)`.
        """
        p, q = first.float().log_softmax(-1), second.float().log_softmax(-1)
        return ((p.exp() - q.exp()) * (p - q)).sum() / 4

    # Answers.

    def predict(
        self, outputs: Any, features: dict[str, ModalityFeatures], batch: Batch, val_size: int | None = None
    ) -> Predictions:
        """Answers of a batch on the CPU: columns with one row an example.

        While training, `val_size` is the number of validation examples: a head with costly answers may answer only some.
        """
        return self.read_outputs(outputs)

    def read_outputs(self, outputs: Any) -> Predictions:
        """The columns of `predict`, for heads whose outputs say all."""
        raise NotImplementedError

    def labels(self, batch: Batch) -> Predictions:
        """True answers of a batch, as columns beside those of `predict`."""
        return {}

    @abstractmethod
    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Metrics of a whole split."""

    def metrics_of_draws(self, predictions: Predictions, draws: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
        """Each metric of several choices of rows, each the places of its examples, `(draws,)`."""
        return columns_of([self.metrics(rows_of(predictions, places)) for places in draws])

    @abstractmethod
    def decode(self, predictions: Predictions) -> list[dict[str, Any]]:
        """Predictions as records for users: `prediction`, `probability` and the like."""

    @abstractmethod
    def decode_labels(self, predictions: Predictions) -> list[Any]:
        """True answers as users write them."""

    def example_error(self, record: Mapping[str, Any]) -> float:
        """How wrong a record with a `label` is: 0 is right; mistakes are shown with the greatest first."""
        return 0.0

    def details(self, predictions: Predictions) -> dict[str, Any]:
        """More about the test split for results.json, such as metrics of each class."""
        return {}

    def figures(self, predictions: Predictions, folder: Path) -> None:
        """Draws PNG figures of the test split into a folder."""

    def answer_to_explain(self, features: dict[str, ModalityFeatures], raw: Mapping[str, Any]) -> Any:
        """The answer to one raw example whose probability is explained; None where the network need not read it."""
        return None

    def encode_answers(self, answers: Sequence[Any]) -> Any:
        """Answers from `answer_to_explain` as targets of a batch."""
        return None

    @abstractmethod
    def explain(self, outputs: Any, batch: Batch) -> Explained:
        """The number that is explained of the answer to a batch's one example."""

    def count_tokens(self, batch: Batch) -> int | None:
        """Number of generated tokens; None where input tokens are counted instead."""
        return None

    @property
    def cache_width(self) -> int | None:
        """Numbers that decoding caches for each token; None counts those of the encoder."""
        return None

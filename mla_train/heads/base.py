"""What a kind of answer must offer: targets as tensors, a layer, a loss, predictions as records, metrics."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from mla_train.data.batch import Batch
from mla_train.modalities.base import Modality, ModalityFeatures

Predictions = dict[str, Any]
"""Columns of equal length, one row an example: numpy arrays or lists."""


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

    Class methods turn targets of the data into arrays and tensors; the module turns encoded tokens into answers.

    Attributes:
        kind: Name of the kind of answer.
        spec_class: Dataclass of what is known of the targets, plain values kept with the model.
        directions: Name of each metric to "max" or "min".
        monitor: Metric of the validation split that chooses the best checkpoint.
        even_tokens: Whether training batches hold as many tokens each instead of as many examples.
        pool: Number of batches whose examples are sorted by length together: more leaves less padding and less chance.
    """

    kind: ClassVar[str]
    spec_class: ClassVar[type]
    directions: Mapping[str, str]
    monitor: str
    even_tokens: ClassVar[bool] = False
    pool: ClassVar[int] = 50

    # Targets.

    @classmethod
    @abstractmethod
    def load_targets(
        cls, targets: Mapping[str, Sequence[Any]], options: Any, notes: list[str]
    ) -> tuple[Any, dict[str, Any]]:
        """Targets of all splits as arrays, before missing splits are cut from train.

        Args:
            targets: Raw targets of "train", and of "val" and "test" where they are given.
            options: `data` options of the run.
            notes: Lines for the user.

        Returns:
            The spec as far as it is known, and an array or a list for each split.

        Raises:
            UserError: Targets are not what this head predicts.
        """

    @classmethod
    def fit_targets(cls, spec: Any, train: Any) -> Any:
        """The spec, completed by the training targets."""
        return spec

    @classmethod
    def fit(
        cls, spec: Any, targets: Any, kinds: Mapping[str, type[Modality]], columns: Mapping[str, Any], options: Any
    ) -> tuple[Any, dict[str, Modality]]:
        """Learns what the network must know of targets and inputs from the training split.

        Args:
            spec: As `load_targets` gives it.
            targets: Targets of the training split.
            kinds: Kind of each input.
            columns: Loaded values of each input.
            options: `data` options of the run.

        Returns:
            The spec of the targets, and the inputs with theirs.
        """
        spec = cls.fit_targets(spec, targets)
        return spec, {name: kind.fit(columns[name], options) for name, kind in kinds.items()}

    @classmethod
    def is_dropped(
        cls, spec: Any, targets: Any, inputs: Mapping[str, Modality], columns: Mapping[str, Any], options: Any
    ) -> np.ndarray | None:
        """True where an example of train or val is left out because it is too long, `(examples,)`; None where all stay.

        Args:
            spec: Spec of the targets.
            targets: Targets of a split.
            inputs: Each input with its spec.
            columns: Loaded values of each input.
            options: `data` options of the run.
        """
        return None

    @classmethod
    def prepare_targets(
        cls,
        spec: Any,
        targets: Any,
        split: str,
        inputs: Mapping[str, Modality],
        columns: Mapping[str, Any],
        notes: list[str],
    ) -> Any:
        """Targets of a split as `collate` takes them.

        Args:
            spec: Spec of the targets.
            targets: Targets as `load_targets` gives them.
            split: Name of the split.
            inputs: Each input with its spec.
            columns: Prepared values of each input.
            notes: Lines for the user.
        """
        return targets

    @classmethod
    def groups(cls, columns: Mapping[str, Any], options: Any) -> np.ndarray | None:
        """Number of the group of each example, `(examples,)`, whose examples stay in one split; None where each is alone.

        Args:
            columns: Loaded values of each input.
            options: `data` options of the run.
        """
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
        """Length of each example, by which batches are bucketed; None where all are alike.

        Args:
            inputs: Number of input tokens of each example.
            targets: As `prepare_targets` gives them.
        """
        return inputs

    # The network.

    def prepend(self, name: str, features: ModalityFeatures) -> ModalityFeatures:
        """Tokens of an input with those that the head puts in front of them, before the encoder."""
        return features

    @property
    def prepended(self) -> int:
        """Number of tokens put in front of those of an input."""
        return 0

    @abstractmethod
    def forward(self, features: dict[str, ModalityFeatures], batch: Batch) -> Any:
        """Outputs for a batch.

        Args:
            features: Encoded tokens of each input.
            batch: Batch that they were made of.
        """

    @abstractmethod
    def loss(self, outputs: Any, batch: Batch) -> tuple[Tensor, int | Tensor]:
        """Sum of the losses of a batch, and the number of terms in it.

        The run divides by the number over all processes and accumulation steps, so that without dropout a batch gives
        the same step however it is cut.
        """

    def r_drop_loss(self, first: Any, second: Any, batch: Batch) -> Tensor:
        """Divergence of two passes with different dropout: a quarter of KL(p|q) + KL(q|p), summed (Liang et al. 2021).

        Beside the mean of both losses this is the paper's sum of both with half the divergence, halved.

        Args:
            first: Class scores of one pass, `(..., classes)`.
            second: Class scores of the other pass, `(..., classes)`.
            batch: Batch of both passes.
        """
        p, q = first.float().log_softmax(-1), second.float().log_softmax(-1)
        return ((p.exp() - q.exp()) * (p - q)).sum() / 4

    # Answers.

    @abstractmethod
    def predict(
        self, outputs: Any, features: dict[str, ModalityFeatures], batch: Batch, val_size: int | None = None
    ) -> Predictions:
        """Answers of a batch on the CPU: columns with one row an example.

        Args:
            outputs: Outputs of `forward`.
            features: Encoded tokens of each input.
            batch: Batch that they were made of.
            val_size: Number of validation examples, while training; a head with costly answers then answers only some.
        """

    def labels(self, batch: Batch) -> Predictions:
        """True answers of a batch, as columns beside those of `predict`."""
        return {}

    @abstractmethod
    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Metrics of a whole split, from the columns of `predict` and `labels`."""

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
        """The answer whose probability is explained, where the network must read it; None where it need not.

        Args:
            features: Encoded tokens of each input of one example.
            raw: The raw example.
        """
        return None

    def encode_answers(self, answers: Sequence[Any]) -> Any:
        """Answers from `answer_to_explain` as targets of a batch."""
        return None

    @abstractmethod
    def explain(self, outputs: Any, batch: Batch) -> Explained:
        """The number that is explained of the answer to one example.

        Args:
            outputs: Outputs for a batch of one example.
            batch: The batch.
        """

    def count_tokens(self, batch: Batch) -> int | None:
        """Number of generated tokens; None where input tokens are counted instead."""
        return None

    @property
    def cache_width(self) -> int | None:
        """Numbers that decoding caches for each token; None counts those of the encoder."""
        return None

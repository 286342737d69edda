"""A number: absolute error of the scaled target, MAE, RMSE, R squared, correlations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.config import TableOptions
from mla_train.data.batch import Batch
from mla_train.data.rows import Labels
from mla_train.data.tables.numbers import NumberFormat, as_numbers, read_numbers
from mla_train.errors import UserError
from mla_train.heads.base import Explained, Predictions, RawTargets
from mla_train.heads.pooled import PooledHead


@dataclass
class NumberSpec:
    """What is known of the numbers.

    Attributes:
        mean: Mean over the training split.
        std: Standard deviation over the training split; 1 where all are alike.
        signs: Decimal sign, thousands sign and unit of the labels; empty where that does not show.
    """

    mean: float = 0.0
    std: float = 1.0
    signs: list[str] = field(default_factory=list)


class Regression(PooledHead):
    """One number an example."""

    kind = "regression"
    spec_class = NumberSpec
    directions: Mapping[str, str] = {"mae": "min", "rmse": "min", "r2": "max", "pearson": "max", "spearman": "max"}
    monitor = "mae"
    units = {"mae": "label", "rmse": "label"}
    units_note = "label: units of the label"

    @classmethod
    def count_outputs(cls, spec: NumberSpec) -> int:
        """One number."""
        return 1

    def set_linear(self, weights: dict[str, Tensor], bias: Tensor) -> None:
        """See `PooledHead.set_linear`; the linear model is in units of the label."""
        mean, std = self.spec.mean, self.spec.std
        super().set_linear({name: weight / std for name, weight in weights.items()}, (bias - mean) / std)

    @classmethod
    def load_targets(
        cls, targets: RawTargets, options: Any, notes: list[str]
    ) -> tuple[NumberSpec, dict[str, np.ndarray]]:
        """Numbers of all splits, which must be finite."""
        return cls._read(targets, options, notes)

    @classmethod
    def read_targets(
        cls, spec: NumberSpec, targets: Sequence[Any], options: Any, notes: list[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numbers in the signs of the training data."""
        known = NumberFormat(*spec.signs[:3]) if spec.signs else None
        return cls._read({"train": targets}, options, notes, known)[1]["train"], np.ones(len(targets), dtype=bool)

    @classmethod
    def _read(
        cls, targets: RawTargets, options: Any, notes: list[str], known: NumberFormat | None = None
    ) -> tuple[NumberSpec, dict[str, np.ndarray]]:
        cells = [value for values in targets.values() for value in values]
        places = [place for split, values in targets.items() for place in _places(split, values)]
        table = options if isinstance(options, TableOptions) else TableOptions()
        numbers = read_numbers("label", cells, table, notes, places, known)
        if numbers is None:
            odd = next(
                place for place, cell in enumerate(cells) if as_numbers("label", [cell], TableOptions(), []) is None
            )
            raise UserError(
                f"{places[odd]}: the label {cells[odd]!r} is no number: correct it, or set task.head=classification"
            )
        values = numbers.values.to_numpy(dtype=float, na_value=np.nan)
        infinite = np.flatnonzero(~np.isfinite(values))
        if len(infinite):
            raise UserError(
                f"{places[infinite[0]]}: the label {cells[infinite[0]]!r} is no finite number: correct or remove it"
            )
        ends = np.cumsum([len(each) for each in targets.values()])
        arrays = dict(zip(targets, np.split(values, ends[:-1]), strict=True))
        return NumberSpec(signs=list(numbers.format or ())), arrays

    @classmethod
    def fit_targets(cls, spec: NumberSpec, train: np.ndarray) -> NumberSpec:
        """Mean and standard deviation."""
        return replace(spec, mean=float(train.mean()), std=float(train.std()) or 1.0)

    @classmethod
    def collate(cls, spec: NumberSpec, targets: Sequence[Any], training: bool) -> Tensor:
        """Scaled numbers, `(batch,)`."""
        return torch.tensor([(float(target) - spec.mean) / spec.std for target in targets])

    def example_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Absolute error of scaled numbers, `(batch,)`."""
        return F.l1_loss(outputs.squeeze(-1), targets, reduction="none")

    def r_drop_loss(self, first: Tensor, second: Tensor, batch: Batch) -> Tensor:
        """The divergence of two normal distributions of standard deviation 1 around both numbers."""
        return ((first - second) ** 2).sum() / 4

    def read_outputs(self, outputs: Tensor) -> Predictions:
        """Numbers in the unit of the data."""
        return {"predicted": self._unscaled(outputs.squeeze(-1))}

    def labels(self, batch: Batch) -> Predictions:
        """True numbers in the unit of the data."""
        return {"label": self._unscaled(batch.targets)}

    def _unscaled(self, numbers: Tensor) -> np.ndarray:
        return numbers.detach().float().cpu().numpy() * self.spec.std + self.spec.mean

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Mean absolute and root mean squared error, explained variance (R squared), correlations of values and ranks.

        A correlation with what is constant counts 0.
        """
        from scipy.stats import pearsonr, spearmanr
        from sklearn.metrics import r2_score

        label, predicted = (predictions[name].astype(np.float64) for name in ("label", "predicted"))
        varies = len(label) > 1 and bool(np.ptp(label)) and bool(np.ptp(predicted))
        return {
            "mae": float(np.abs(label - predicted).mean()),
            "rmse": float(((label - predicted) ** 2).mean() ** 0.5),
            "r2": float(r2_score(label, predicted)) if len(label) > 1 else 0.0,
            "pearson": float(pearsonr(label, predicted).statistic) if varies else 0.0,
            "spearman": float(spearmanr(label, predicted).statistic) if varies else 0.0,
        }

    def decode(self, predictions: Predictions) -> list[dict[str, Any]]:
        """The predicted number."""
        return [{"prediction": float(f"{number:.6g}")} for number in predictions["predicted"]]

    def decode_labels(self, predictions: Predictions) -> list[float]:
        """The true number."""
        return [float(f"{number:.6g}") for number in predictions["label"]]

    def example_error(self, record: Mapping[str, Any]) -> float:
        """Absolute error."""
        return abs(record["label"] - record["prediction"])

    def figures(self, predictions: Predictions, folder: Path) -> None:
        """Predictions over true numbers."""
        from mla_train.heads.figures import draw_scatter

        draw_scatter(predictions["label"], predictions["predicted"], self.metrics(predictions), folder / "scatter.png")

    def explain(self, outputs: Tensor, batch: Batch) -> Explained:
        """The number itself."""
        std, mean = self.spec.std, self.spec.mean
        number = float(outputs[0, 0]) * std + mean
        return Explained(lambda outputs: outputs[:, 0] * std + mean, "the predicted number", f"{number:.4g}")


def _places(split: str, values: Sequence[Any]) -> Sequence[str]:
    """Where each label stands: its file and place, if they are known."""
    return values.places if isinstance(values, Labels) else [f"{split} example {n}" for n in range(1, len(values) + 1)]

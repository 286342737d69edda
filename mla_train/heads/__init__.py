"""Kinds of answer, a file each: targets, layer, loss, predictions, metrics."""

from mla_train.heads.base import Explained, Head, Predictions
from mla_train.heads.classes import ClassSpec
from mla_train.heads.classification import Classification
from mla_train.heads.forecast import Forecast
from mla_train.heads.forecast_spec import ForecastSpec
from mla_train.heads.generation import Generation
from mla_train.heads.multilabel import MultilabelClassification
from mla_train.heads.ranking import Ranking, RankingSpec
from mla_train.heads.regression import NumberSpec, Regression
from mla_train.heads.text_targets import GenerationSpec

HEADS: dict[str, type[Head]] = {
    kind.kind: kind for kind in (Classification, MultilabelClassification, Regression, Generation, Forecast, Ranking)
}
"""Kinds of answer by their names."""

__all__ = [
    "HEADS",
    "ClassSpec",
    "Classification",
    "Explained",
    "Forecast",
    "ForecastSpec",
    "Generation",
    "GenerationSpec",
    "Head",
    "MultilabelClassification",
    "NumberSpec",
    "Predictions",
    "Ranking",
    "RankingSpec",
    "Regression",
]

"""What a forecast must know of the series."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from mla_train.modalities.series.transforms import restored, transformed


@dataclass
class ForecastSpec:
    """The series that are forecast.

    Attributes:
        names: Names of the series.
        horizon: Number of steps that are forecast.
        period: Number of steps of a cycle.
        mean: Mean of each series, over training rows.
        std: Standard deviation of each series, over training rows.
        naive_error: Mean absolute error of the value one period before on training rows, scaled, by which MASE divides; 1
            where a series repeats itself.
        nonnegative: Whether no training row of a series is below zero; its quantiles are not below zero either. False after
            the transform log, which needs no such bound. Empty in models of earlier versions, whose quantiles have none.
        nonnegative_point: Whether the forecasts of these series are not below zero either.
        transform: What is done to the series before they are scaled, see `config.Transform`.
        quantile_shift: What is added to the quantiles of each step, in standard deviations of the past, so that val holds
            the share of values below each that it should, `(horizon, levels)`; empty adds nothing.
    """

    equally_long: ClassVar = ((("names",), "mean", "std", "naive_error", "nonnegative"),)
    may_be_empty: ClassVar = ("nonnegative",)
    one_of: ClassVar = {"transform": ("none", "log", "log1p", "asinh")}

    names: list[str]
    horizon: int
    period: int
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    naive_error: list[float] = field(default_factory=list)
    nonnegative: list[bool] = field(default_factory=list)
    nonnegative_point: bool = False
    transform: str = "none"
    quantile_shift: list[list[float]] = field(default_factory=list)

    @property
    def least(self) -> np.ndarray:
        """Least value of the quantiles of each series in original units, `(series,)`."""
        return np.where(self.nonnegative or [False] * len(self.names), 0.0, -np.inf)

    def in_units(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled steps `(..., series, horizon)` in original units."""
        mean, std = (np.reshape(values, (-1, 1)) for values in (self.mean, self.std))
        return restored(scaled * std + mean, self.transform)

    def scaled(self, values: Any, series: int) -> np.ndarray:
        """Values of a series in original units, scaled."""
        return (transformed(np.asarray(values, float), self.transform) - self.mean[series]) / self.std[series]

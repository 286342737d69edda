"""What a forecast must know of the series."""

from dataclasses import dataclass, field


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
        nonnegative: Whether no training row of a series is below zero; its quantiles are not below zero either. Empty in
            models of earlier versions, whose quantiles have no bound.
    """

    names: list[str]
    horizon: int
    period: int
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    naive_error: list[float] = field(default_factory=list)
    nonnegative: list[bool] = field(default_factory=list)

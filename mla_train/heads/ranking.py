"""The next item of a history: the encoder, made causal, ranks the whole catalogue (SASRec, Kang and McAuley 2018).

Each place of a training history foretells the item behind it by a softmax over all items. Sampled negatives, as the paper has
them, cost accuracy (Petrov and Macdonald 2023; Klenitskiy and Vasilev 2023), and sampled metrics order models wrongly
(Krichene and Rendle 2020): here all items are ranked that a user has not had.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.data.batch import Batch
from mla_train.data.tables.cells import as_label
from mla_train.errors import UserError
from mla_train.heads.base import (
    Columns,
    Embeddings,
    Explained,
    Head,
    Inputs,
    Kinds,
    Predictions,
    RawTargets,
    columns_of,
)
from mla_train.modalities.base import Modality, ModalityFeatures
from mla_train.modalities.items import ItemTensors
from mla_train.modalities.items.neighbours import last_items
from mla_train.modalities.items.preprocess import names_of

TOP = 10  # items that metrics look at, and that are recommended
NO_ITEM = -1  # in place of a recommended item, where fewer than `TOP` are left


@dataclass
class RankingSpec:
    """What is ranked.

    Attributes:
        history: Name of the input.
    """

    history: str = "history"


class Ranking(Head):
    """Scores of all items to be the next one; the matrix is that of the embeddings (Press and Wolf 2017).

    With item-kNN beside the encoder a score is `gate * encoder + bias + strength * log(floor + similarity)`: with a gate of 0 the
    ranking is that of item-kNN. Otherwise it begins with the popularity as bias.

    Attributes:
        top: Number of items that are recommended.
    """

    kind = "ranking"
    spec_class = RankingSpec
    directions = {f"ndcg@{TOP}": "max", f"hr@{TOP}": "max", "mrr": "max", f"coverage@{TOP}": "max"}
    monitor = f"ndcg@{TOP}"
    draws_sums = True
    even_tokens = True
    is_causal = True

    def __init__(self, config: TrainConfig, spec: RankingSpec, embeddings: Embeddings, sequences: bool = False) -> None:
        super().__init__()
        self.spec, self.top = spec, TOP
        self.label_smoothing = config.regularization.label_smoothing
        # A tuple is no submodule: the weights stand in the input's embedding alone.
        self._shared = (embeddings[spec.history],)
        popularity = self._shared[0].log_popularity
        has_neighbours = "neighbours" in self._shared[0].side_paths
        self.bias = nn.Parameter(torch.zeros_like(popularity) if has_neighbours else popularity.clone())
        self.gate = nn.Parameter(torch.tensor(0.0 if has_neighbours else 1.0))
        self.strength = nn.Parameter(torch.tensor(1.0)) if has_neighbours else None
        self.log_floor = nn.Parameter(torch.tensor(-4.0)) if has_neighbours else None

    @property
    def catalogue(self) -> list[str]:
        """Names of the items."""
        return self._shared[0].spec.catalogue

    # Targets.

    @classmethod
    def load_targets(cls, targets: RawTargets, options: Any, notes: list[str]) -> tuple[RankingSpec, dict[str, Any]]:
        """Names of the items that follow the histories."""
        return cls.spec_class(), {split: [as_label(name) for name in names] for split, names in targets.items()}

    @classmethod
    def fit(
        cls, spec: Any, targets: Any, kinds: Kinds, columns: Columns, options: Any
    ) -> tuple[RankingSpec, dict[str, Modality]]:
        """The catalogue is that of the training histories with the items that follow them."""
        ((name, kind),) = kinds.items()
        column = columns[name]
        whole = [
            np.array([*names_of(history), item], dtype=object)
            for history, item in zip(column.values, targets, strict=True)
        ]
        known, column = column.known, replace(column, values=whole)
        column.known = known
        return RankingSpec(name), {name: kind.fit(column, options)}

    @classmethod
    def prepare_targets(
        cls, spec: Any, targets: Any, split: str, inputs: Inputs, columns: Columns, notes: list[str]
    ) -> np.ndarray:
        """Number of each item; 0 where it is not in the catalogue, which is never right."""
        items: Any = inputs[spec.history]
        numbers = np.array([items.numbers.get(name, 0) for name in targets], np.int64)
        lacking = int((numbers == 0).sum())
        if lacking:
            notes.append(
                f"{lacking:,} of {len(numbers):,} items to be found in {split} are in no training history: they count as missed"
            )
        return numbers

    @classmethod
    def collate(cls, spec: Any, targets: Sequence[int], training: bool) -> Tensor:
        """Numbers of the next items, `(batch,)`."""
        return torch.tensor(np.asarray(targets, np.int64))

    # The network.

    def following(self, tensors: ItemTensors, targets: Tensor) -> Tensor:
        """Item behind each place, 0 at padding, `(batch, length)`; behind the last the target, or what follows a window."""
        assert tensors.after is not None
        last = torch.where(tensors.after > 0, tensors.after, targets)
        items = F.pad(tensors.items[:, 1:], (0, 1))
        return items.scatter(1, last_places(tensors).unsqueeze(1), last.unsqueeze(1))

    def forward(self, features: dict[str, ModalityFeatures], batch: Batch) -> Tensor:
        """Scores, `(places, catalogue)`: in training of each place with an item behind it, else of the last of each history."""
        tensors: ItemTensors = batch.inputs[self.spec.history]
        encoded = features[self.spec.history].tokens
        neighbours = self._shared[0].side_paths["neighbours"] if self.strength is not None else None
        if self.training:
            rows, places = (self.following(tensors, batch.targets) > 0).nonzero(as_tuple=True)
        else:
            rows, places = torch.arange(len(tensors.items), device=tensors.items.device), last_places(tensors)
        scores = self.bias.expand(len(rows), -1)
        if encoded is not None:
            scores = scores + self.gate * (encoded[rows, places] @ self._shared[0].items.weight[1:].T)
        if neighbours is not None:
            own = None
            if self.training:
                own = torch.zeros(len(tensors.items), len(neighbours.users), device=scores.device)
                own = own.scatter(1, torch.cat([tensors.seen, batch.targets.unsqueeze(1)], 1), 1.0)
                own = own.index_fill(1, torch.zeros(1, dtype=torch.long, device=scores.device), 0)[rows]
            similarity = neighbours(last_items(tensors.items, rows, places, neighbours.lags), own)
            scores = scores + self.strength * torch.log(self.log_floor.exp() + similarity)  # type: ignore[operator, union-attr]
        is_new = tensors.padding.all(1)[rows].unsqueeze(1)
        return torch.where(is_new, self._shared[0].log_popularity, scores)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy over all items, and the number of places."""
        following = batch.targets
        if self.training:
            following = self.following(batch.inputs[self.spec.history], batch.targets)
            following = following[following > 0]
        total = F.cross_entropy(
            outputs, following - 1, reduction="sum", ignore_index=-1, label_smoothing=self.label_smoothing
        )
        return total, (following > 0).sum().clamp(min=1)

    # Answers.

    def unseen(self, outputs: Tensor, tensors: ItemTensors) -> Tensor:
        """Scores without those of items that the user has had, `(batch, catalogue)`."""
        seen = torch.zeros(len(outputs), outputs.size(1) + 1, dtype=torch.bool, device=outputs.device)
        return outputs.float().masked_fill(seen.scatter(1, tensors.seen, True)[:, 1:], -torch.inf)

    def predict(
        self, outputs: Tensor, features: dict[str, ModalityFeatures], batch: Batch, val_size: int | None = None
    ) -> Predictions:
        """The best items with their probabilities; with labels also the rank of the true one."""
        tensors: ItemTensors = batch.inputs[self.spec.history]
        scores = self.unseen(outputs, tensors)
        columns = ranked(scores.cpu().numpy(), None if batch.targets is None else batch.targets.cpu().numpy(), self.top)
        columns["probability"] = np.take_along_axis(
            scores.softmax(-1).cpu().numpy(), columns["predicted"].clip(min=0), 1
        )
        columns["known"] = (~tensors.padding).sum(1).cpu().numpy()
        columns["unknown"] = list(tensors.unknown or [[]] * len(scores))
        return columns

    def labels(self, batch: Batch) -> Predictions:
        """Numbers of the true items."""
        return {"label": batch.targets.cpu().numpy()}

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Metrics of the true item's rank, and the share of the catalogue that is recommended to anybody."""
        recommended = np.unique(predictions["predicted"][:, :TOP])
        coverage = float((recommended > NO_ITEM).sum()) / max(1, len(self.catalogue))
        return metrics_of(predictions["rank"]) | {f"coverage@{TOP}": coverage}

    def metrics_of_draws(self, predictions: Predictions, draws: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
        """Without the coverage, which draws of fewer users make smaller."""
        return columns_of([metrics_of(predictions["rank"][places]) for places in draws])

    def decode(self, predictions: Predictions) -> list[dict[str, Any]]:
        """The best items and their probabilities, what they rest on, and names that are not in the catalogue."""
        records = []
        for row, (items, chances) in enumerate(zip(predictions["predicted"], predictions["probability"], strict=True)):
            names = [self.catalogue[item] for item in items if item > NO_ITEM]
            record: dict[str, Any] = {"prediction": names}
            record["probabilities"] = {
                name: float(f"{chance:.4g}") for name, chance in zip(names, chances, strict=False)
            }
            record["based_on"] = "history" if predictions["known"][row] else "popularity"
            if predictions["unknown"][row]:
                record["unknown"] = list(predictions["unknown"][row])
            if "rank" in predictions:
                record["rank"] = int(predictions["rank"][row]) + 1
            records.append(record)
        return records

    def decode_labels(self, predictions: Predictions) -> list[str | None]:
        """Names of the true items; None where the catalogue lacks one."""
        return [self.catalogue[number - 1] if number else None for number in predictions["label"]]

    def example_error(self, record: Mapping[str, Any]) -> float:
        """Rank of the true item where it is not recommended."""
        return float(record["rank"] > TOP) * record["rank"]

    def details(self, predictions: Predictions) -> dict[str, Any]:
        """Metrics by the length of the history and by the popularity of the true item."""
        from mla_train.heads.ranking_figures import metrics_by_group

        return metrics_by_group(self, predictions)

    def figures(self, predictions: Predictions, folder: Path) -> None:
        """The same as a figure."""
        from mla_train.heads.ranking_figures import draw_groups

        draw_groups(self, predictions, folder / "groups.png")

    def explain(self, outputs: Tensor, batch: Batch) -> Explained:
        """The log probability of the best item."""
        tensors: ItemTensors = batch.inputs[self.spec.history]
        if bool(tensors.padding.all()):
            raise UserError(
                "the history has no known item: the most popular ones are recommended, and nothing explains them"
            )
        best = int(self.unseen(outputs, tensors)[0].argmax())
        name = self.catalogue[best]
        return Explained(lambda outputs: outputs.log_softmax(-1)[:, best], f"log probability of {name}", name)


def last_places(tensors: ItemTensors) -> Tensor:
    """Place of the last item of each history, 0 of an empty one, `(batch,)`."""
    return ((~tensors.padding).sum(1) - 1).clamp(min=0)


def ranked(scores: np.ndarray, targets: np.ndarray | None, top: int = TOP) -> Predictions:
    """The best items, and with targets the number of items in front of the true one.

    Items of equal score stand in front of the true one: ties flatter no model.

    Args:
        scores: Scores of all items, of those that are not to be recommended -inf, `(examples, catalogue)`.
        targets: Number of the true item, from 1; 0 for one that is not in the catalogue, `(examples,)`.
        top: Number of items.

    Returns:
        `predicted`, places in the catalogue or `NO_ITEM`, `(examples, top)`, and `rank`, `(examples,)`.
    """
    order = np.argsort(-scores, 1, kind="stable")[:, :top]
    columns: Predictions = {"predicted": np.where(np.isneginf(np.take_along_axis(scores, order, 1)), NO_ITEM, order)}
    if targets is not None:
        own = np.take_along_axis(scores, (targets - 1).clip(min=0)[:, None], 1)
        columns["rank"] = np.where(targets > 0, (scores >= own).sum(1) - 1, scores.shape[1])
    return columns


def metrics_of(ranks: np.ndarray) -> dict[str, float]:
    """NDCG, hit rate and mean reciprocal rank of one true item each, from the number of items in front of it, `(examples,)`."""
    is_hit = ranks < TOP
    return {
        f"ndcg@{TOP}": float(np.where(is_hit, 1 / np.log2(ranks + 2), 0).mean()),
        f"hr@{TOP}": float(is_hit.mean()),
        "mrr": float((1 / (ranks + 1)).mean()),
    }

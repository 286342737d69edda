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
from mla_train.heads.ranking_metrics import NO_ITEM, TOP, metrics_of, ranked
from mla_train.modalities.base import Modality, ModalityFeatures
from mla_train.modalities.items import ItemTensors
from mla_train.modalities.items.neighbours import last_items
from mla_train.modalities.items.preprocess import names_of

WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)  # of the encoder beside item-kNN, of which val chooses
FLOOR = 1e-5  # share of an item that item-kNN gives nothing


@dataclass
class RankingSpec:
    """What is ranked.

    Attributes:
        history: Name of the input.
        encoder_weight: Weight of the encoder beside item-kNN, where there is one.
    """

    history: str = "history"
    encoder_weight: float = 0.0


class Ranking(Head):
    """Probabilities of all items to be the next one; the matrix is that of the embeddings (Press and Wolf 2017).

    The bias begins as the popularity. With item-kNN beside the encoder a score is the logarithm of what item-kNN gives an item,
    plus a weight times the log probability by the encoder: a product of experts (Hinton 2002), whose weight is chosen on val.

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
        self.bias = nn.Parameter(self._shared[0].log_popularity.clone())

    @property
    def neighbours(self) -> Any:
        """Item-kNN beside the encoder; None where there is none."""
        paths = self._shared[0].side_paths
        return dict(paths).get("neighbours")

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
                f"{lacking:,} of {len(numbers):,} items to be found in {split} are not in the catalogue: they "
                f"{'are not learned' if split == 'train' else 'count as missed'}"
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
        """What is known of the next item.

        Returns:
            In training scores of each place with an item behind it, `(places, catalogue)`; else log probabilities by each
            expert, the encoder and item-kNN, `(experts, batch, catalogue)`.
        """
        tensors: ItemTensors = batch.inputs[self.spec.history]
        encoded, shared = features[self.spec.history].tokens, self._shared[0]
        if self.training:
            is_followed = self.following(tensors, batch.targets) > 0
            return self._scores(None if encoded is None else encoded[is_followed], int(is_followed.sum()))
        last = last_places(tensors)
        at_last = None
        if encoded is not None:
            at_last = encoded.gather(1, last.view(-1, 1, 1).expand(-1, 1, encoded.size(2))).squeeze(1)
        experts = [self._scores(at_last, last.size(0)).log_softmax(-1)]
        if self.neighbours is not None:
            worth = self.neighbours(last_items(tensors.items, last, self.neighbours.lags))
            experts.append(torch.log(worth + FLOOR))
        is_new = tensors.padding.all(1).unsqueeze(1)
        return torch.stack([torch.where(is_new, shared.log_popularity, each) for each in experts])

    def _scores(self, encoded: Tensor | None, count: int) -> Tensor:
        """Scores of all items at so many places, whose encoded tokens are `(places, dim)`."""
        if encoded is None:
            return self.bias.expand(count, -1)
        return torch.addmm(self.bias, encoded, self._shared[0].items.weight[1:].T)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy over all items, and the number of places."""
        if not self.training:
            total = F.nll_loss(outputs[0], batch.targets - 1, reduction="sum", ignore_index=-1)
            return total, (batch.targets > 0).sum().clamp(min=1)
        following = self.following(batch.inputs[self.spec.history], batch.targets)
        following = following[following > 0]
        total = F.cross_entropy(outputs, following - 1, reduction="sum", label_smoothing=self.label_smoothing)
        return total, batch.index.new_tensor(len(following)).clamp(min=1)

    # Answers.

    def unseen(self, outputs: Tensor, tensors: ItemTensors, weight: float | None = None) -> Tensor:
        """Scores of items that the user has not had, else -inf, `(batch, catalogue)`.

        Args:
            outputs: Log probabilities by each expert, `(experts, batch, catalogue)`.
            tensors: Histories.
            weight: Weight of the encoder beside item-kNN; None takes the one that was chosen.
        """
        weight = self.spec.encoder_weight if weight is None else weight
        scores = outputs[0] if len(outputs) == 1 else outputs[1] + weight * outputs[0]
        seen = torch.zeros(scores.size(0), scores.size(1) + 1, dtype=torch.bool, device=outputs.device)
        return scores.float().masked_fill(seen.scatter(1, tensors.seen, True)[:, 1:], -torch.inf)

    def predict(
        self, outputs: Tensor, features: dict[str, ModalityFeatures], batch: Batch, val_size: int | None = None
    ) -> Predictions:
        """The best items with their probabilities; with labels also the rank of the true one, by each weight of the encoder."""
        tensors: ItemTensors = batch.inputs[self.spec.history]
        targets = None if batch.targets is None else batch.targets.cpu().numpy()
        scores = self.unseen(outputs, tensors)
        columns = ranked(scores.cpu().numpy(), targets, self.top)
        chances = scores.softmax(-1).cpu().numpy()
        columns["probability"] = np.take_along_axis(chances, columns["predicted"].clip(min=0), 1)
        columns["known"] = (tensors.seen > 0).sum(1).cpu().numpy()
        columns["unknown"] = list(tensors.unknown or [[]] * len(scores))
        if targets is not None and self.neighbours is not None:
            each = [ranked(self.unseen(outputs, tensors, weight).cpu().numpy(), targets) for weight in WEIGHTS]
            columns |= {f"{name}_by_weight": np.stack([one[name] for one in each], 1) for name in each[0]}
        return columns

    def tune(self, predictions: Predictions) -> Predictions:
        """Chooses the weight of the encoder beside item-kNN."""
        if "rank_by_weight" not in predictions:
            return predictions
        scores = [metrics_of(ranks)[f"ndcg@{TOP}"] for ranks in predictions["rank_by_weight"].T]
        best = int(np.argmax(scores))
        self.spec = replace(self.spec, encoder_weight=WEIGHTS[best])
        return predictions | {name: predictions[f"{name}_by_weight"][:, best] for name in ("rank", "predicted")}

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
        weight = self.spec.encoder_weight

        def score(outputs: Tensor) -> Tensor:
            scores = outputs[0] if len(outputs) == 1 else outputs[1] + weight * outputs[0]
            return scores.log_softmax(-1)[:, best]

        return Explained(score, f"log probability of {name}", name)


def last_places(tensors: ItemTensors) -> Tensor:
    """Place of the last item of each history, 0 of an empty one, `(batch,)`."""
    return ((~tensors.padding).sum(1) - 1).clamp(min=0)

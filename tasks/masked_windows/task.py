"""Windows of series whose hidden patches are filled in."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mla_train.data.splits import SPLITS
from mla_train.dataset import Dataset, Split
from mla_train.errors import require
from mla_train.heads import Predictions
from mla_train.heads.masked_windows import MaskedWindows as Head
from mla_train.heads.masked_windows import MaskedWindowSpec
from mla_train.masked_patches import MaskedPatchTask
from mla_train.modalities import Series
from mla_train.modalities.series.windows import cycle_profile
from mla_train.model import Model
from mla_train.window_dataset import INPUT, prepare_windows


class MaskedWindows(MaskedPatchTask):
    """Windows of series whose hidden patches are filled in."""

    inputs = {INPUT: Series}
    head = Head

    def prepare(self, raw: Any) -> Dataset:
        """The windows of a forecast; those of val and test read no row before their split, since all that they read is scored."""
        data = prepare_windows(raw, self.config)
        train, val, test = (self._scored(getattr(data, name).columns[INPUT], name) for name in SPLITS)
        data = replace(data, spec=replace(data.spec, head=Head), train=train, val=val, test=test, vary=None)
        return self.with_target(data, MaskedWindowSpec(INPUT, self.options.mask_rate, self.config.data.look_back))

    def _scored(self, column: Any, name: str) -> Split:
        if name != "train":
            before = -(-column.look_back // column.step)
            require(
                before < len(column),
                f"{name} has {column.end - column.first:,} rows, and windows whose past is filled in need data.look_back + "
                f"data.horizon = {column.look_back + column.horizon:,}: lower data.look_back, or move the borders: data.split=",
            )
            column = column.select(np.arange(before, len(column)))
        return Split({INPUT: column}, Head.prepare_targets(None, None, name, None, {INPUT: column}, []))

    def init_from_data(self, model: Model, data: Dataset) -> str:
        """Sets the cycle to the mean at each of its places."""
        embedding: Any = model.embeddings[INPUT]
        embedding.set_closed_form(None, profile_of(data))
        return super().init_from_data(model, data)

    def fillers(self, data: Dataset) -> dict[str, Callable[[Split], Tensor]]:
        """The mean of the training rows at each place of the cycle."""
        profile = profile_of(data)

        def cycle(split: Split) -> Tensor:
            column = split.columns[INPUT]
            return torch.from_numpy(profile[column.places(len(profile))[:, : column.look_back]]).transpose(1, 2)

        return {"cycle": cycle}

    def prediction_rows(self, model: Model, predictions: Predictions, data: Dataset) -> list[dict[str, Any]]:
        """Rows with the time at which each window begins."""
        rows, column = super().prediction_rows(model, predictions, data), data.test.columns[INPUT]
        times = column.series.table.times
        starts = [str(times[now - column.look_back]) for now in predictions["now"]]
        return [{"index": row.pop("index"), "from": start, **row} for row, start in zip(rows, starts, strict=True)]


def profile_of(data: Dataset) -> np.ndarray:
    """Mean of the training rows at each place of the cycle, `(period, series)`."""
    train: Any = data.train.columns[INPUT]
    return cycle_profile(train.series, train.end, data.spec.inputs[INPUT].spec.period)

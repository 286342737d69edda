"""Time series to their future."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mla_train.data.batch import Batch
from mla_train.dataset import Dataset, check_given
from mla_train.errors import UserError, did_you_mean
from mla_train.heads import Forecast, Predictions
from mla_train.modalities import Series
from mla_train.modalities.series import ridge
from mla_train.modalities.series.embed_windows import WindowEmbedding
from mla_train.modalities.series.windows import WindowColumn, cycle_profile
from mla_train.model import Model, ModelSpec
from mla_train.task import Task
from mla_train.window_dataset import INPUT, prepare_windows

if TYPE_CHECKING:
    from mla_train.explain.explanation import Explanation


class Forecasting(Task):
    """Time series to their future."""

    inputs = {INPUT: Series}
    head = Forecast
    baseline_forecasts: dict[str, np.ndarray] = {}

    def prepare(self, raw: Any) -> Dataset:
        """Windows of a table, split by rows."""
        return prepare_windows(raw, self.config)

    def init_from_data(self, model: Model, data: Any) -> bool:
        """Sets cycle, ridge and quantiles by the training windows: a forecaster before the first step."""
        embedding = cast(WindowEmbedding, model.embeddings[INPUT])
        train, val = (split.columns[INPUT] for split in (data.train, data.val))
        profile = period = weight = None
        if "cycle" in embedding.side_paths:
            period = embedding.spec.period
            profile = cycle_profile(train.series, train.end, period)
        if "ridge" in embedding.side_paths:
            weight = ridge.fit(without_cycle(train, profile), without_cycle(val, profile), period).weight
        embedding.set_closed_form(weight, profile)
        batch = spread_batch(data, data.train, max(1, 4000 // len(embedding.spec.names)))
        start = embedding.closed_form(batch.inputs[INPUT])
        errors = ((batch.targets.values - start.linear - start.cycle) / start.spread).detach()
        errors = errors.masked_fill(~batch.targets.real, np.nan)
        cast(Forecast, model.head).init_from_errors(errors.flatten(0, 1))
        return True

    def raw_inputs(self, spec: ModelSpec) -> list[str]:
        """A table, and perhaps the column that an explanation shows."""
        return [INPUT, "column"]

    def explain(self, model: Model, raw: Mapping[str, Any]) -> "Explanation":
        """Explains the forecast of one column, the first if none is named."""
        check_given(model.spec, [{name: value for name, value in raw.items() if name != "column"}])
        names = cast(Forecast, model.head).spec.names
        name = raw.get("column", names[0])
        if name not in names:
            raise UserError(f"column={name}: this model forecasts no such column. {did_you_mean(name, names)}")
        (window,) = model.spec.inputs[INPUT].preprocess([raw[INPUT]])
        return super().explain(model, {INPUT: window._replace(shown=names.index(name))})

    def baselines(self, data: Any) -> dict[str, Predictions]:
        """Simple forecasts of the same windows."""
        from tasks.forecasting import baselines  # needs scikit-learn, which a model that predicts does not

        test: WindowColumn = data.test.columns[INPUT]
        self.baseline_forecasts = baselines.forecast(data)
        truth = {"future": test.windows()[1], "real": test.real_future()}
        return {name: {"forecast": values} | truth for name, values in self.baseline_forecasts.items()}

    def prediction_rows(self, model: Model, predictions: Predictions, data: Any) -> list[dict[str, Any]]:
        """Windows that follow each other without overlap, a row for each series; steps that fill no last one are left out."""
        column: WindowColumn = data.test.columns[INPUT]
        some = {name: values[:: column.horizon] for name, values in predictions.items()}
        rows = []
        records, labels = model.head.decode(some), model.head.decode_labels(some)
        for index, record, label in zip(some["index"].tolist(), records, labels, strict=True):
            begin = str(column.series.table.times[column[index].now])
            for name in data.spec.target.names:
                row = {"index": index, "from": begin, "series": name}
                row |= {"forecast": record["prediction"][name], "measured": label[name]}
                if "quantiles" in record:
                    row["quantiles"] = {level: steps[name] for level, steps in record["quantiles"].items()}
                rows.append(row)
        return rows

    def figures(self, model: Model, predictions: Predictions, data: Any, folder: Path) -> None:
        """Forecasts, errors, and the attention of the steps to be forecast."""
        from mla_train.explain.forecast_attention import draw_forecast_attention
        from mla_train.heads.forecast_figures import draw_errors, draw_windows

        head, column = cast(Forecast, model.head), data.test.columns[INPUT]
        draw_windows(predictions, column, data.spec.target, head.levels, folder / "forecasts.png")
        draw_errors(predictions, self.baseline_forecasts, data.spec.target, folder / "errors.png")
        if model.encoder is not None:
            draw_forecast_attention(model, spread_batch(data, data.test, 64), folder / "attention.png")


def spread_batch(data: Dataset, split: Any, most: int) -> Batch:
    """At most so many windows of a split, at even distances, as a batch."""
    places = np.linspace(0, len(split) - 1, min(most, len(split))).astype(int)
    return data.collate([split[int(place)] for place in places], training=False)


def without_cycle(column: WindowColumn, profile: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Past and future of the windows of a split, less the mean at each place of the cycle, `(period, series)`."""
    past, future = column.windows()
    if profile is None:
        return past, future
    cycle = profile[column.places(len(profile))].transpose(0, 2, 1)
    return past - cycle[..., : column.look_back], future - cycle[..., column.look_back :]

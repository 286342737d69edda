"""Time series to their future."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mla_train.baselines import Baseline, Baselines, Limit
from mla_train.config import Start
from mla_train.data.batch import Batch
from mla_train.dataset import Dataset, check_given
from mla_train.errors import UserError, did_you_mean
from mla_train.heads import Forecast, Predictions
from mla_train.heads.bootstrap import block_places
from mla_train.heads.forecast_metrics import rounded
from mla_train.modalities import Series
from mla_train.modalities.series import ridge
from mla_train.modalities.series.embed_windows import WindowEmbedding
from mla_train.modalities.series.windows import WindowColumn, cycle_profile
from mla_train.model import Model, ModelSpec
from mla_train.task import Task
from mla_train.window_dataset import INPUT, prepare_windows

DRAWS = 200  # of blocks of windows

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

    def init_from_data(self, model: Model, data: Any) -> str:
        """Sets cycle and ridge to the best simple forecast, and the quantiles by its errors on training windows."""
        embedding = cast(WindowEmbedding, model.embeddings[INPUT])
        name = ""
        if self.config.task.start is not Start.none:
            name, weight, profile = best_start(data, embedding)
            embedding.set_closed_form(weight, profile)
        batch = spread_batch(data, data.train, max(1, 4000 // len(embedding.spec.names)))
        start = embedding.closed_form(batch.inputs[INPUT])
        errors = ((batch.targets.values - start.linear - start.cycle) / start.spread).detach()
        errors = errors.masked_fill(~batch.targets.real, np.nan)
        cast(Forecast, model.head).init_from_errors(errors.flatten(0, 1))
        return name

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

    def baselines(self, data: Any) -> Baselines:
        """Simple forecasts of the same windows; those of test are kept for figures."""
        from tasks.forecasting.baselines import (
            forecast_baselines,  # needs scikit-learn, which a model that predicts does not
        )

        def kept(name: str, baseline: Any, limit: Limit) -> Baseline | None:
            done = baseline(limit)
            if done is not None:
                self.baseline_forecasts[name] = done.test["forecast"]
            return done

        self.baseline_forecasts = {}
        return {name: partial(kept, name, baseline) for name, baseline in forecast_baselines(data).items()}

    def prediction_rows(self, model: Model, predictions: Predictions, data: Any) -> list[dict[str, Any]]:
        """Windows that follow each other without overlap, a row for each series; steps that fill no last one are left out."""
        column: WindowColumn = data.test.columns[INPUT]
        some = {name: values[:: -(-column.horizon // column.step)] for name, values in predictions.items()}
        rows = []
        target, table = data.spec.target, column.series.table
        for index, record in zip(some["index"].tolist(), model.head.decode(some), strict=True):
            now = column[index].now
            measured = table.values[
                now : now + column.horizon
            ].T  # as the table has it: scaled and back, 0 is not quite 0
            for name, values, std in zip(target.names, measured, target.std, strict=True):
                row = {"index": index, "from": str(table.times[now]), "series": name}
                row |= {"forecast": record["prediction"][name], "measured": rounded(values, std)}
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
        shown = {name: forecast[predictions["index"]] for name, forecast in self.baseline_forecasts.items()}
        draw_errors(predictions, shown, data.spec.target, folder / "errors.png")
        if model.encoder is not None:
            draw_forecast_attention(model, spread_batch(data, data.test, 64), folder / "attention.png")


def spread_batch(data: Dataset, split: Any, most: int) -> Batch:
    """At most so many windows of a split, at even distances, as a batch."""
    places = np.linspace(0, len(split) - 1, min(most, len(split))).astype(int)
    return data.collate([split[int(place)] for place in places], training=False)


def best_start(data: Dataset, embedding: WindowEmbedding) -> tuple[str, np.ndarray | None, np.ndarray | None]:
    """The simplest forecast that val does not show to be worse, of those that the side paths can hold.

    The value one cycle before, a ridge, and a ridge of what is left without the cycle: a start is passed over where the best
    on val betters it by more than one standard error (Breiman et al. 1984). A short val would else choose by luck.

    Returns:
        Its name, its weights of the past `(look_back, horizon)`, and the mean of each place of the cycle `(period, series)`;
        None where it has no such part.
    """
    train, val = (split.columns[INPUT] for split in (data.train, data.val))
    fitted_to = train.thinned(ridge.MOST_VALUES)
    spec, has_ridge, has_cycle = embedding.spec, "ridge" in embedding.side_paths, "cycle" in embedding.side_paths
    profile = cycle_profile(train.series, train.end, spec.period) if has_cycle else None
    if not has_ridge:
        return "cycle" if has_cycle else "", None, profile
    starts: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}  # the simplest first
    if has_cycle and spec.period <= spec.look_back:
        starts["seasonal_naive"] = ridge.seasonal_naive(spec.look_back, spec.horizon, spec.period), None
    starts["ridge"] = ridge.fit(fitted_to.pairs(), val.pairs(), spec.period if has_cycle else None).weight, None
    if has_cycle:
        fitted = ridge.fit(without_cycle(fitted_to, profile), without_cycle(val, profile), spec.period)
        starts["cycle and ridge"] = fitted.weight, profile
    errors = {
        name: ridge.squared_errors(weight, without_cycle(val, profile), (each.real_future() for each in val.pieces()))
        for name, (weight, profile) in starts.items()
    }
    best = min(errors, key=lambda name: errors[name].sum())
    apart = -(-spec.horizon // val.step)  # windows that share no step
    chosen = next(name for name in errors if name == best or not is_worse(errors[name] - errors[best], apart))
    return chosen, *starts[chosen]


def is_worse(differences: np.ndarray, horizon: int) -> bool:
    """Whether errors of windows exceed others by more than one standard error, over draws of blocks of windows."""
    generator = np.random.default_rng(0)
    means = [differences[block_places(len(differences), horizon, generator)].mean() for _ in range(DRAWS)]
    return bool(differences.mean() > np.std(means))


def without_cycle(column: WindowColumn, profile: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Past and future of the windows of a split, less the mean at each place of the cycle, `(period, series)`."""
    for piece in column.pieces():
        past, future = piece.windows()
        if profile is not None:
            cycle = profile[piece.places(len(profile))].transpose(0, 2, 1)
            past, future = past - cycle[..., : column.look_back], future - cycle[..., column.look_back :]
        yield past, future

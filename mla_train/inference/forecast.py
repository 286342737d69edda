"""From a table of series to its future: a row for each series and step, and a figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from mla_train.errors import UserError, counted
from mla_train.inference.files import Writer, table_options
from mla_train.inference.predictor import Predictor
from mla_train.modalities.series.future import has_past, read_windows
from mla_train.modalities.series.spec import SeriesSpec
from mla_train.modalities.series.windows import Window

MOST_SERIES = 6  # in a figure


def forecast_file(
    predictor: Predictor, file: str, output: str, kind: str, start: str | None = None, backtest: int = 0
) -> str:
    """Forecasts the series of a table and writes a row for each series and step.

    Args:
        predictor: Trained forecaster.
        file: Csv or parquet table; its rows without values of the series hold covariates that are known ahead.
        output: File that is written, or "-".
        kind: Format of it.
        start: Time of the first step; None is the step behind the last measured row.
        backtest: Number of forecasts of measured steps; each begins a horizon before the next.

    Returns:
        What was written.

    Raises:
        UserError: The table does not fit the model.
    """
    if file == "-":
        raise UserError("a table of series is read from a file: --input FILE")
    if backtest < 0:
        raise UserError(f"--backtest {backtest}: must be 1 or more")
    (modality,) = predictor.spec.inputs.values()
    written = table_options(predictor.config.data)
    windows = read_windows(Path(file), modality.spec, start, backtest, all_measured=False, written=written)
    records = predictor.predict([dict.fromkeys(predictor.spec.inputs, window) for window in windows])
    for window, record in zip(windows, records, strict=True):
        _leave_empty(window, record, modality.spec)
    rows = [row for window, record in zip(windows, records, strict=True) for row in _rows(window, record, backtest > 0)]
    with Writer(output, kind, list(rows[0])) as writer:
        writer.write(rows)
    summary = "; ".join([*windows[0].series.table.notes, counted(len(rows), "row")])
    if output == "-":
        return summary
    image_file = Path(output).with_suffix(".png")
    draw_forecast(windows, records, image_file)
    return f"{summary} to {output}, a figure to {image_file}"


def _leave_empty(window: Window, record: dict[str, Any], spec: SeriesSpec) -> None:
    """Takes away the forecasts of series without a past, which would be those of a series at its mean."""
    for name, is_known in zip(spec.names, has_past(window, spec), strict=True):
        for steps in (record["prediction"], *record.get("quantiles", {}).values()):
            if not is_known:
                steps[name] = [np.nan] * spec.horizon


def _rows(window: Window, record: dict[str, Any], measured: bool) -> list[dict[str, Any]]:
    table = window.series.table
    rows = []
    for series, steps in record["prediction"].items():
        values = table.frame[series].iloc[window.now : window.now + len(steps)]
        for step, value in enumerate(steps):
            row = {"series": series, "time": str(table.times[window.now + step]), "step": step + 1, "prediction": value}
            row |= {f"q{level}": each[series][step] for level, each in record.get("quantiles", {}).items()}
            if measured:
                row["measured"] = float(values.iloc[step])
            rows.append(
                {key: None if isinstance(cell, float) and np.isnan(cell) else cell for key, cell in row.items()}
            )
    return rows


def draw_forecast(windows: Sequence[Window], records: Sequence[dict[str, Any]], file: Path | IO[bytes]) -> None:
    """The last measured steps, the forecast and its band, of the first series.

    Args:
        windows: Where the forecasts begin.
        records: Their predictions.
        file: PNG to write.
    """
    import matplotlib.dates as mdates
    from matplotlib.figure import Figure

    from mla_train.figures import save_figure

    names = list(records[0]["prediction"])[:MOST_SERIES]
    figure = Figure(figsize=(10, 2.8 * len(names)), layout="constrained")
    rows = figure.subplots(len(names), 1, squeeze=False)
    table = windows[0].series.table
    horizon = len(records[0]["prediction"][names[0]])
    for axes, name in zip(rows[:, 0], names, strict=True):
        begin = max(0, windows[0].now - 4 * horizon)
        end = windows[-1].now + (horizon if len(windows) > 1 else 0)
        axes.plot(
            table.times[begin:end], table.frame[name].iloc[begin:end], color="black", linewidth=1, label="measured"
        )
        for window, record in zip(windows, records, strict=True):
            ahead = table.times[window.now : window.now + horizon]
            label = "forecast" if window is windows[0] else None
            axes.plot(ahead, record["prediction"][name], color="tab:blue", label=label)
            levels = sorted(record.get("quantiles", {}), key=float)
            if len(levels) > 1:
                low, high = record["quantiles"][levels[0]][name], record["quantiles"][levels[-1]][name]
                band = f"{levels[0]} to {levels[-1]}" if label else None
                axes.fill_between(ahead, low, high, color="tab:blue", alpha=0.2, linewidth=0, label=band)
            axes.axvline(table.times[window.now], color="grey", linewidth=0.8, linestyle=":")
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
        axes.set(title=name)
        axes.grid(alpha=0.3)
    rows[0, 0].legend(loc="upper left", fontsize=8)
    save_figure(figure, file, 110)

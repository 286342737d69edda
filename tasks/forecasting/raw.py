"""The end of a table of one's own, read as the data was that a forecaster has learnt from."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mla_train.errors import UserError
from tasks.forecasting.data import ForecastBatch, ForecastingFacts, calendar, filled
from tasks.forecasting.series_csv import numbers, read_table, time_column_of, times_of


def read_end(file: Path, facts: ForecastingFacts, column: str | None = None) -> ForecastBatch:
    """The last rows of a table as a batch of one; the future is unknown, and covariates stand at their mean.

    Args:
        file: CSV or parquet.
        facts: Of the series that the model knows.
        column: Where the times stand; None is the first that can be read as times.

    Raises:
        UserError: The file or a column is not there, a cell is no number, or there are too few rows.
    """
    if not facts.start:
        raise UserError("this model does not know where its cycles begin: train it again, or choose --index")
    path = str(file)
    table = read_table(path)
    lacking = [name for name in facts.names if name not in table.columns]
    if lacking:
        raise UserError(f"{file} has no column {', '.join(lacking)}; there are {', '.join(map(str, table.columns))}")
    if len(table) < facts.look_back:
        raise UserError(f"{file} has {len(table):,} rows; this model reads the last {facts.look_back:,}")
    times = times_of(table[column or time_column_of(table, path)], path)
    order = np.argsort(times, kind="stable")[-facts.look_back :]
    times = times[order]
    step = pd.Timedelta(int(np.median(np.diff(times.asi8))))
    ahead = times[-1] + step * np.arange(1, facts.horizon + 1)
    values = np.stack([numbers(table[name], path)[order] for name in facts.names], 1)
    scaled = filled((values - facts.mean) / facts.std).astype(np.float32)
    known = np.zeros((facts.look_back + facts.horizon, facts.num_known), dtype=np.float32)
    told = calendar(times.append(pd.DatetimeIndex(ahead)), facts.yearly)
    known[:, : told.shape[1]] = told
    phase = round((times[0] - pd.Timestamp(facts.start)) / step) % facts.period
    future = torch.zeros(1, len(facts.names), facts.horizon)
    real = np.concatenate([~np.isnan(values), np.zeros((facts.horizon, len(facts.names)), dtype=bool)])
    return ForecastBatch(
        torch.zeros(1, dtype=torch.long),
        torch.from_numpy(scaled.T[None].copy()),
        future,
        torch.from_numpy(real.T[None].copy()),
        torch.from_numpy(known[None]),
        torch.zeros(1, facts.look_back, facts.num_observed),
        torch.tensor([phase]),
    )

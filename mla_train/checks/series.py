"""Tables of series that windows are cut out of: gaps, still stretches, series that are the same, covariates that know the future."""

from typing import Any

import numpy as np

from mla_train.checks.base import Check
from mla_train.checks.telling_inputs import LEAST_CORRELATION, correlation, telling_lead
from mla_train.dataset import Dataset

MOST_SERIES = 50  # looked at
MOST_PROBLEMS = 3  # of a kind


def check_series(data: Dataset) -> Check:
    """Describes the table that windows are cut out of."""
    (column,) = data.train.columns.values()
    table = column.series.table
    names, values = table.names[:MOST_SERIES], table.values[:, :MOST_SERIES]
    check = Check("series", "Series", {"rows": len(values), "series": len(table.names)})
    check.note = (
        f"{len(values):,} rows from {table.times[0]} to {table.times[-1]}. Gap: steps without a value; still: steps "
        "without a change."
    )
    for name, series in zip(names, values.T, strict=True):
        missing = np.isnan(series)
        check.rows.append(
            {
                "series": name,
                "missing": int(missing.sum()),
                "longest gap": longest_run(missing),
                "longest still": longest_run(np.diff(series) == 0),
                "lowest": float(np.nanmin(series)),
                "mean": float(np.nanmean(series)),
                "highest": float(np.nanmax(series)),
            }
        )
    check.values |= {
        key.replace(" ", "_"): {row["series"]: row[key] for row in check.rows} for key in list(check.rows[0])[1:4]
    }
    same = [
        (names[i], names[j])
        for j in range(len(names))
        for i in range(j)
        if np.array_equal(values[:, i], values[:, j], equal_nan=True)
    ]
    check.problems += [
        f"{first} and {second} are the same series: leave one out (data.targets=)"
        for first, second in same[:MOST_PROBLEMS]
    ]
    check.values["leaks"] = leaks = _leaks(table, names, values, column.horizon)
    check.problems += [
        f"{leak['covariate']} tells {leak['series']} {leak['steps_ahead'] or 'at the same'} "
        f"step{'s ahead' if leak['steps_ahead'] else ''}: it holds the future that is to be forecast; leave it out of "
        f"data.{leak['role']}="
        for leak in leaks[:MOST_PROBLEMS]
    ]
    return check


def longest_run(is_true: np.ndarray) -> int:
    """Length of the longest run of True in `(steps,)`."""
    ends = np.flatnonzero(np.diff(np.r_[0, is_true.astype(int), 0]))
    return int((ends[1::2] - ends[::2]).max(initial=0))


def _leaks(table: Any, names: list[str], values: np.ndarray, horizon: int) -> list[dict[str, Any]]:
    """Covariates known ahead that follow a series, and observed ones that run ahead of it."""
    covariates, leaks = table.covariates, []
    for place, covariate in enumerate([*table.known, *table.observed]):
        is_known = place < len(table.known)
        for number, (name, series) in enumerate(zip(names, values.T, strict=True)):
            own = covariates[:, min(number, covariates.shape[1] - 1), place]
            follows = is_known and correlation(own, series) >= LEAST_CORRELATION
            lead = 0 if follows else telling_lead(own, series, horizon)
            if lead is not None:
                role = "known" if is_known else "observed"
                leaks.append({"covariate": covariate, "role": role, "series": name, "steps_ahead": lead})
    return leaks

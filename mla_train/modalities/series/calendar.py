"""The place of a time in its day, week and year."""

import numpy as np
import pandas as pd


def calendar(times: pd.DatetimeIndex, yearly: bool) -> np.ndarray:
    """Sine and cosine of the time of day, the day of the week and, if asked for, the day of the year, `(rows, 4 or 6)`.

    Args:
        times: Time of each row.
        yearly: Whether the day of the year is included, as where training rows span two years.
    """
    day = (times.hour + times.minute / 60 + times.second / 3600) / 24
    turns = [day, (times.weekday + day) / 7]
    if yearly:
        turns.append((times.day_of_year - 1 + day) / 365.25)
    angles = np.stack(turns, 1) * 2 * np.pi
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)

"""Panels: long tables whose series differ in length and span."""

import numpy as np
import pandas as pd
import pytest

from mla_train.errors import UserError
from mla_train.modalities.series.future import read_windows
from mla_train.report.run_report import detail_tables
from mla_train.task import build_task
from tests.helpers import forecasting_config, hourly_table

LONG = ["data.series_column=id"]


def panel(spans=((0, 400), (0, 400))):
    """A series for each span of rows, of its own size."""
    wave, times = np.sin(np.arange(400) / 24 * 2 * np.pi), hourly_table()["date"]
    parts = [
        pd.DataFrame({"id": f"s{number}", "date": times[a:b], "y": (10 + wave[a:b]) * 10.0**number})
        for number, (a, b) in enumerate(spans)
    ]
    return pd.concat(parts)


def read(folder, frame, *words):
    return build_task(forecasting_config(folder, frame, *words)).load_data()


def series_of(data):
    return data.train.columns["series"].series


def spec_of(data):
    return data.spec.inputs["series"].spec


def test_a_long_table_is_its_wide_form(tmp_path):
    frame = panel()
    long = read(tmp_path, frame, *LONG)
    wide = read(tmp_path, frame.pivot(index="date", columns="id", values="y").reset_index())
    np.testing.assert_allclose(series_of(long).values, series_of(wide).values, rtol=1e-6)
    assert (long.spec.target.names, long.spec.target.period) == (wide.spec.target.names, wide.spec.target.period)
    assert [len(getattr(long, split)) for split in ("train", "val", "test")] == [
        len(getattr(wide, split)) for split in ("train", "val", "test")
    ]


def test_marks_of_missing_values_name_no_series(tmp_path):
    with pytest.raises(UserError, match=r"line 402: there is no name in column id"):
        read(tmp_path, panel().replace("s1", "unknown"), *LONG, "data.na_values=[Unknown]")
    frame = panel().assign(hour=lambda each: pd.to_datetime(each["date"]).dt.hour)
    frame["date"] = pd.to_datetime(frame["date"]).dt.strftime("%Y-%m-%d")
    columns = ["data.time_column=[date,hour]", "data.na_values=[0]"]  # which is an hour, too
    assert spec_of(read(tmp_path, frame, *LONG, *columns)).names == ["s0", "s1"]


def test_series_of_other_spans_share_the_dates_of_the_splits(tmp_path):
    frame = panel(((0, 400), (60, 400), (0, 200), (300, 400), (350, 400)))
    data = read(tmp_path, frame, *LONG)
    notes = "\n".join(data.notes)
    assert data.spec.target.names == ["s0", "s1", "s2"]
    assert "2 series without a value in the training rows are left out: s3, s4" in notes
    assert "series have 50 to 400 values" in notes
    assert "all series are split at the same times (data.split): val from 2024-01-12 16:00:00" in notes
    real = series_of(data).real
    assert list(real.sum(0)) == [400, 340, 200]
    spec = data.spec.inputs["series"].spec  # scaled by its own values alone
    assert spec.mean[1] == pytest.approx(frame[frame["id"] == "s1"]["y"][: 280 - 60].mean())
    batch = data.collate([data.test[i] for i in range(len(data.test))], training=False)
    assert not batch.targets.real[:, 2].any()  # nor scored where it has no value
    (window,) = read_windows(tmp_path / "a.csv", spec, backtest=1, all_measured=False)
    np.testing.assert_array_equal(window.series.values, series_of(data).values)


def test_no_series_in_train_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"s0, s1 has no value in the training rows"):
        read(tmp_path, panel(((0, 400), (0, 400))).assign(y=lambda t: t["y"].mask(t["date"] < "2024-01-13")), *LONG)


@pytest.mark.parametrize(
    ("count", "rows", "heading"), [(50, 50, "By series"), (51, 10, "By series, the worst 10 of 51")]
)
def test_the_report_shows_the_worst_of_many_series(count, rows, heading):
    details = {"per_series": {f"s{i}": {"mse": float(i) or None, "mae_original": 2.0} for i in range(count)}}
    (title,), (table,) = zip(*detail_tables(details, {"mse": "std²", "mae_original": "series"}).items(), strict=True)
    assert title == heading
    assert table.columns == ["", "mse (std²)", "mae (series)"]
    assert len(table.rows) == rows
    assert table.rows[0][0].text == ("s0" if count == 50 else "s50")

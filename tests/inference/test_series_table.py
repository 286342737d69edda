"""Tables that exported forecasts read without this package: as `read_windows` does, or not at all."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from mla_train.data.tables.numbers import NumberFormat
from mla_train.errors import UserError
from mla_train.inference.export.runtime import series_table
from mla_train.modalities.series.future import read_windows
from mla_train.task import build_task
from tests.helpers import forecasting_config


def spec_of(folder, frame, *words):
    return build_task(forecasting_config(folder, frame, *words)).load_data().spec.inputs["series"].spec


def frame_of(values, start="2024-01-01", frequency="h"):
    """A table of one series, some 300 rows of these cells by turns."""
    times = pd.date_range(start, periods=300, freq=frequency)
    return pd.DataFrame({"date": times, "load": [values[i % len(values)] for i in range(300)]})


def past_of(file, spec):
    """What both readers read of the series: scaled by the one, as it is by the other."""
    (window,) = read_windows(file, spec)
    rows = slice(window.now - spec.look_back, window.now)
    table = window.series.table.values[rows]
    arrays = series_table.read_window(str(file), asdict(spec))
    return np.where(window.series.real[rows], table, np.nan), np.where(arrays["real"], arrays["past"], np.nan).T


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize(
    ("signs", "cell"),
    [
        ((".", ","), "1,002"), ((",", "."), "1.002"), ((",", "."), "-1.234.567,5"), ((".", ","), "1,234.5"), ((",", ""), "1,002"),
        ((".", ""), "1.002"), ((",", ""), "1.5"), ((".", ","), "1002"), ((".", ""), "1,002"), ((",", ""), "1.002"),
    ],
)  # fmt: skip
def test_exported_forecasts_read_numbers_in_the_signs_of_the_training_data(signs, cell, separator):
    expected = NumberFormat(*signs).plain(cell)
    if expected is None:
        with pytest.raises(ValueError, match=f"the signs of the training data, a decimal {signs[0]}"):
            series_table.to_number(cell, separator, [], *signs)
    else:
        assert series_table.to_number(cell, separator, [], *signs) == float(expected)


@pytest.mark.parametrize("cell", ["1,029", "-12,345,678", "1_0"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_exported_forecasts_refuse_what_may_be_thousands(separator, cell):
    with pytest.raises(ValueError, match="it needs"):
        series_table.to_number(cell, separator, [])


def test_exported_forecasts_read_times_with_a_zone_as_training_does():
    days = ["2024-03-30 00:00:00+05:30", "2024-03-31T00:00:00+05:30"]
    midnight = series_table.to_seconds(["2024-03-30", "2024-03-31"], "local")
    assert series_table.to_seconds(days, "local").tolist() == midnight.tolist()
    hours = ["2024-03-30 00:00:00+01:00", "2024-03-30 01:00:00+01:00"]
    assert series_table.to_seconds(hours, "UTC").tolist() == [midnight[0] - 3600, midnight[0]]
    with pytest.raises(ValueError, match="have a zone"):
        series_table.to_seconds(hours, "local")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,load,load\n2024-01-01,1,2\n", "several columns load"),
        ("day,load\n2024-01-01,1\n", "no column date"),
        ("date,load\n2024-01-01,1,2\n", "row 1 has more or fewer cells"),
        ("date,load\n2024-01-01\n", "row 1 has more or fewer cells"),
    ],
)
def test_exported_forecasts_refuse_tables_of_other_columns(text, message, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    spec = {"time_column": "date", "formats": {}, "na_values": [], "time_zone": "local"}
    with pytest.raises(ValueError, match=message):
        series_table.read_table(str(tmp_path / "a.csv"), ["load"], spec)


@pytest.mark.parametrize(
    ("trained", "new", "words"),
    [
        (["10.2%", "11.5%"], ["10.3%", "9.5%"], []),
        (["10.2%", "11.5%"], ["10.3 %", ""], []),
        (["10.2 kWh", "11.5 kWh"], ["10.3", "9.5"], []),
        (["10.2 kWh", "11.5 kWh"], ["10.3 kWh", "9.5kWh"], []),
        (["€10.2", "€11.5"], ["€ 10.3", "€9"], []),
        (["1.5", "-99.9", "2.5"], ["1.5", "-99.90", "-99.9", "2.5"], ["data.na_values=[-99.9]"]),
        (["1.5", "0", "2.5"], ["-0", "0.00", "2.5"], ["data.na_values=[0]"]),
        (["1.5", "-200", "2.5"], ["-2e2", "-200,0", "2.5"], ["data.na_values=[-200]"]),
        (["1.5", "off", "2.5"], ["OFF", " Off", "2.5"], ["data.na_values=[off]"]),
        (["1241", "1352"], ["1241.5", "1352.125"], []),
        (["1241", "1352"], ["1.241", "1.352"], []),
        (["1241.5", "1352"], ["1.241", "352"], []),
    ],
)
def test_exported_forecasts_read_cells_as_the_model_does(trained, new, words, tmp_path):
    spec = spec_of(tmp_path, frame_of(trained), *words)
    frame_of(new).to_csv(tmp_path / "b.csv", index=False)
    expected, read = past_of(tmp_path / "b.csv", spec)
    np.testing.assert_allclose(read, expected)


@pytest.mark.parametrize(
    ("trained", "new", "message"),
    [
        (["10.2%", "11.5%"], ["0.102", "0.115"], "is not in %"),
        (["10.2‰", "11.5‰"], ["10.2", "11.5"], "is not in ‰"),
        (["10.2%", "11.5%"], ["10.3 kWh"], "is not in %"),
        (["10.2%", "11.5%"], ["10.3%", "9.3 kWh"], "could not convert"),
        (["1241", "1352"], ["1.241", "987"], "written in thousands"),
    ],
)
def test_exported_forecasts_refuse_cells_that_may_mean_something_else(trained, new, message, tmp_path):
    spec = spec_of(tmp_path, frame_of(trained))
    frame_of(new).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(ValueError, match=message):
        series_table.read_window(str(tmp_path / "b.csv"), asdict(spec))


@pytest.mark.parametrize(
    ("trained", "start", "new"),
    [
        ("h", "2024-01-01", "D"), ("h", "2024-01-01", "2h"), ("D", "2024-01-01", "B"), ("D", "2024-01-01", "7D"),
        ("W-SUN", "2024-01-01", "W-MON"), ("7D", "2024-01-02", "14D"),
    ],
)  # fmt: skip
def test_exported_forecasts_refuse_rows_of_another_distance(trained, start, new, tmp_path):
    numbers = [1.5, 2.5, 4.0, 3.0]
    spec = spec_of(tmp_path, frame_of(numbers, start, trained))
    frame_of(numbers, start, new).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(UserError, match="apart"):
        read_windows(tmp_path / "b.csv", spec)
    with pytest.raises(ValueError, match="another distance or weekday"):
        series_table.read_window(str(tmp_path / "b.csv"), asdict(spec))


@pytest.mark.parametrize("words", [[], ["data.resample=mean"]])
@pytest.mark.parametrize("frequency", ["h", "15min", "D", "W-SUN", "7D"])
def test_exported_forecasts_read_rows_with_gaps(frequency, words, tmp_path):
    frame = frame_of([1.5, 2.5, 4.0, 3.0], frequency=frequency)
    spec = spec_of(tmp_path, frame, *words)
    frame.drop(index=[50, 90, 130, 290]).to_csv(tmp_path / "b.csv", index=False)
    expected, read = past_of(tmp_path / "b.csv", spec)
    assert np.isnan(expected).sum() == 1
    np.testing.assert_allclose(read, expected)
    if words:
        frame[::2].to_csv(tmp_path / "b.csv", index=False)
        np.testing.assert_allclose(*past_of(tmp_path / "b.csv", spec))


def test_exported_forecasts_say_where_a_unit_is_not_written(tmp_path, capsys):
    spec = spec_of(tmp_path, frame_of(["10.2 kWh", "11.5 kWh"]))
    for cells, said in ((["10.3 kWh"], ""), (["10.3"], "load has numbers without a unit, which are read in kWh")):
        frame_of(cells).to_csv(tmp_path / "b.csv", index=False)
        series_table.read_window(str(tmp_path / "b.csv"), asdict(spec))
        err = capsys.readouterr().err
        assert said in err
        assert bool(err) == bool(said)

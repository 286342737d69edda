"""Times of all the ways to write them: read as what they are, or asked about."""

import numpy as np
import pandas as pd
import pytest

from mla_train.errors import UserError
from mla_train.modalities.series.times import reading_note, times_of

HOURS = pd.date_range("2024-01-01", periods=400, freq="h")
DAYS = pd.date_range("2024-01-01", periods=400)
MONTHS = pd.date_range("1990-01-01", periods=240, freq="MS")
QUARTERS = pd.date_range("1990-01-01", periods=80, freq="QS")
WEEKS = pd.date_range("2014-01-06", periods=200, freq="7D")


def read(cells, **how):
    return times_of(pd.Series(list(cells), name="date"), "a.csv", **how)


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%d-%b-%y %H:%M", "%b %d, %Y %H:%M",
        "%A, %B %d, %Y %H:%M", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S", "%Y%m%dT%H%M%S", "%d.%m.%y %H:%M", "%y-%m-%d %H:%M",
        "%Y.%m.%d %H.%M", "%d/%b/%Y:%H:%M:%S", "%Y-%m-%d %Hh%M", "%H:%M %d.%m.%Y", "%d.%m.%Y, %H:%M Uhr", "%a, %d.%m.%Y %H:%M",
        "%Y年%m月%d日 %H:%M",
    ],
)  # fmt: skip
def test_hours(form):
    assert read(HOURS.strftime(form)).times.tolist() == HOURS.tolist()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (MONTHS.strftime("%Y%m").astype(int), MONTHS),
        (MONTHS.strftime("%YM%m"), MONTHS),
        (MONTHS.strftime("%b-%y"), MONTHS),
        (MONTHS.strftime("%m.%Y"), MONTHS),
        (MONTHS.strftime("%Y.%m").astype(float), MONTHS),
        (np.round(1990 + np.arange(240) / 12, 4), MONTHS),
        (np.round(1990 + np.arange(240) / 12, 2), MONTHS),
        (np.round(1990 + (np.arange(240) + 0.5) / 12, 3), MONTHS),
        (1990 + np.arange(80) / 4, QUARTERS),
        ([f"Q{each.quarter} {each.year}" for each in QUARTERS], QUARTERS),
        ([f"{each.year} Q{each.quarter}" for each in QUARTERS], QUARTERS),
        ([f"{each.quarter}Q{each:%y}" for each in QUARTERS], QUARTERS),
        ([f"{each.year}/{each.quarter}" for each in QUARTERS], QUARTERS),
        ([f"{each.year}T{each.quarter}" for each in QUARTERS], QUARTERS),
        ([f"{1990 + i // 3}T{i % 3 + 1}" for i in range(60)], pd.date_range("1990", periods=60, freq="4MS")),
        ([f"{1990 + i // 2}-H{i % 2 + 1}" for i in range(60)], pd.date_range("1990", periods=60, freq="6MS")),
        (["2014/1", "2014/2", "2014/3", "2014/4"], pd.date_range("2014-01-01", periods=4, freq="MS")),
        ([f"{each.isocalendar().year}-W{each.isocalendar().week}" for each in WEEKS], WEEKS),
        ([f"KW {each.isocalendar().week} {each.isocalendar().year}" for each in WEEKS], WEEKS),
        ([each.isocalendar().year * 100 + each.isocalendar().week for each in WEEKS], WEEKS),
        (DAYS.strftime("%y%m%d").astype(int), DAYS),
        (DAYS.strftime("%Y%j").astype(int), DAYS),
        (HOURS.strftime("%Y%m%d%H").astype(int), HOURS),
    ],
)  # fmt: skip
def test_parts_of_years(cells, expected):
    assert read(cells).times.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1. Januar 2024", "2. März 2024"], ["2024-01-01", "2024-03-02"]),
        (["1 janv. 2024", "2 août 2024"], ["2024-01-01", "2024-08-02"]),
        (["1 de enero de 2024", "2 de diciembre de 2024"], ["2024-01-01", "2024-12-02"]),
        (["Mo, 01.02.2024", "Di, 02.02.2024"], ["2024-02-01", "2024-02-02"]),
        (["2024-07-01 00:00 EDT", "2024-07-01 01:00 EDT"], ["2024-07-01 04:00", "2024-07-01 05:00"]),
        (["2024-03-31 01:00 CET", "2024-03-31 03:00 CEST"], ["2024-03-31 00:00", "2024-03-31 01:00"]),
        (["2024-03-31T01:00+01:00[Europe/Berlin]"], ["2024-03-31"]),
        (["2024-01-01 23:00", "2024-01-01 24:00"], ["2024-01-01 23:00", "2024-01-02"]),
        (["01.01.2024 23:00", "01.01.2024 24:00"], ["2024-01-01 23:00", "2024-01-02"]),
        ([b"2024-01-01"], ["2024-01-01"]),
    ],
)
def test_words_zones_and_midnight(cells, expected):
    assert read(cells).times.tolist() == pd.to_datetime(expected, format="ISO8601").tolist()


@pytest.mark.parametrize(
    ("cells", "form", "expected"),
    [
        (28_401_120 + np.arange(400) * 60, "min", HOURS),
        (473_352 + np.arange(400), "h", HOURS),
        (19_723 + np.arange(400)[:200], "days", DAYS[:200]),
        (45_292 + np.arange(400), "excel", DAYS),
        (2_460_310.5 + np.arange(400), "julian", DAYS),
        (739_252.0 + np.arange(400), "matlab", DAYS),
        (HOURS.as_unit("ms").asi8, "ms", HOURS),
    ],
)
def test_counts_are_said(cells, form, expected):
    reading = read(cells)
    assert (reading.times.tolist(), reading.form) == (expected.tolist(), form)
    note = reading_note(pd.Series(cells, name="date"), reading)
    assert note.startswith(f"numbers of column date are read as times, the first {expected[0]}")
    assert note.endswith(f"(data.time_format={form})")


FILE_TIMES = [each.value // 100 + 116_444_736 * 10**9 for each in HOURS]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (20_030 + np.arange(200), "data.time_format=days, .*data.time_format=excel"),
        (FILE_TIMES, "data.time_format=ns, .*data.time_format=filetime"),
        (2_600_000_000 + np.arange(400) * 3_600_000, "are no times.*data.time_format=s, ms"),
        (["01/02/2024", "02/02/2024", "03/02/2024"], "'01/02/2024' may be several dates.*=day_first or .*=month_first"),
        (["01-02-2024", "02-02-2024"], "data.time_format=day_first"),
        (["02/02/2024", "01/02/2024"], "'01/02/2024' may be"),
        (["2024-07-01 00:00 CST"], "zone CST .* has several meanings: write the offset"),
        (["2014T1", "2014T2"], "may be a quarter or a third of a year: write 2014Q1"),
        (["2024-01-01", "02.01.2024"], "written in several ways.*'02.01.2024'.*: write all alike"),
        (["01.01.2024", "31.02.2024"], "row 2: '31.02.2024' in column date is no time.*data.time_format="),
        (["2024-01-01", "NaT"], "row 2: there is no time in column date"),
        (["T5", "T5"], "'T5' in column date is no time"),
        (["Jan", "Feb"], "'Jan' in column date is no time"),
        (["12:00", "13:00"], "'12:00' in column date is no time"),
    ],
)
def test_what_may_be_two_things_is_asked(cells, message):
    with pytest.raises(UserError, match=message):
        read(cells)


def test_an_option_answers():
    for cells, form, expected in (
        (["01/02/2024", "02/02/2024"], "day_first", ["2024-02-01", "2024-02-02"]),
        (["01/02/2024", "02/02/2024"], "month_first", ["2024-01-02", "2024-02-02"]),
        (["01|02|2024", "02|02|2024"], "%d|%m|%Y", ["2024-02-01", "2024-02-02"]),
        ([20_030], "days", ["2024-11-03"]),
        ([43_830], "excel1904", ["2024-01-01"]),
        (FILE_TIMES[:1], "filetime", ["2024-01-01"]),
        ([0, 3600], "s", ["1970-01-01 00:00", "1970-01-01 01:00"]),
    ):
        expected = pd.to_datetime(expected).tolist()
        assert read(cells, form=form).times.tolist() == expected
        assert read(cells, usual=form).times.tolist() == expected  # as a model was trained
    assert read(["2024-01-05"], usual="s").times[0] == pd.Timestamp("2024-01-05")
    with pytest.raises(UserError, match=r"data.time_format=hours is unknown: write day_first"):
        read(["2024-01-05"], form="hours")


def test_rows_in_any_order_tell_nothing():
    months = pd.date_range("2020-01-01", periods=24, freq="MS").strftime("%d/%m/%Y")
    assert read(months).form == "day_first"
    with pytest.raises(UserError, match=r"data.time_format=day_first"):
        read(months, in_order=False)


@pytest.mark.parametrize(
    ("form", "zone", "said"),
    [
        ("{}", "", ""),
        ("{} PM", "", ""),
        ("{}+02:00", "UTC", "universal time"),
        ("{} +0200", "UTC", "universal time"),
        ("{} CEST", "UTC", "universal time"),
        ("{} GMT+2", "UTC", "universal time"),
        ("{}Z", "UTC", ""),
        ("{}+00:00", "UTC", ""),
    ],
)
def test_zones_are_known_and_what_they_shift_is_said(form, zone, said):
    cells = [form.format(f"2024-06-01 {hour:02}:30:00") for hour in range(1, 12)]
    reading = times_of(pd.Series(cells, name="t"), None)
    assert reading.zone == zone
    assert said in reading.said
    assert bool(said) is bool(reading.said)


def test_times_with_and_without_a_zone_are_refused():
    cells = ["2024-06-01 01:30:00", "2024-06-01 02:30:00Z", "2024-06-01 03:30:00"]
    with pytest.raises(UserError, match=r"some times have a zone and others have none.*write all alike"):
        times_of(pd.Series(cells, name="t"), None)


@pytest.mark.parametrize("form", ["%m%d%Y", "%d%m%Y", "%m%d%Y%H", "%H%d%m%Y", "%d%m%y", "%m.%Y", "%G%V"])
@pytest.mark.parametrize("kind", ["texts", "numbers", "usual"])
def test_a_form_reads_zeros_in_front(form, kind):
    """Written back in the form, times are the cells; as numbers, or as the form of training, they are the same."""
    times = pd.date_range("2024-01-01", periods=4, freq="MS") if form == "%m.%Y" else HOURS[:40:12]
    if form == "%G%V":  # weeks, which are read as those of training
        times, form = pd.date_range("2024-01-01", periods=4, freq="7D"), "%G%V%u"
        cells = [f"{each:%G%V}" for each in times]
    else:
        cells = times.strftime(form).tolist()
    numbers = pd.Series(cells).astype("int64").tolist() if kind == "numbers" and "." not in form else cells
    how = {"usual": form} if kind == "usual" else {"form": form}
    reading = times_of(pd.Series(numbers, name="when"), "a.csv", **how)
    assert reading.times.strftime(form[:4] if form == "%G%V%u" else form).tolist() == cells


def test_october_as_a_number_is_no_january():
    cells = pd.Series(["1990.01", "1990.1", "1990.11"], name="when")
    assert times_of(cells, None, usual="%Y.%m").times.month.tolist() == [1, 10, 11]
    with pytest.raises(UserError, match="does not read numbers"):
        times_of(cells, None, form="%Y.%m")


@pytest.mark.parametrize("place", [0, 3])
def test_a_cell_of_thousands_of_digits_is_named(place):
    cells = [f"2024-01-0{day}" for day in range(1, 6)]
    cells[place] = "9" * 5000
    with pytest.raises(UserError, match=f"row {place + 1}: '9999") as caught:
        times_of(pd.Series(cells, name="when"), "a.csv")
    assert len(str(caught.value)) < 300

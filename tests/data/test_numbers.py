"""Columns of numbers: signs, units, what is missing, what is asked."""

from decimal import Decimal

import numpy as np
import pytest

from mla_train.config import TableOptions
from mla_train.data.tables.numbers import NumberFormat, as_numbers, read_numbers
from mla_train.errors import UserError


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["(1.50)", "2.50", "(1,200.25)"], [-1.5, 2.5, -1200.25]),
        (["1.50-", "2.50", "3.00"], [-1.5, 2.5, 3.0]),
        (["1\u2019000.50", "2\u2019500.75", "3.25"], [1000.5, 2500.75, 3.25]),
        (["#REF!", "1", "2", "#NV", "3"], [np.nan, 1, 2, np.nan, 3]),
    ],
)
def test_numbers_of_accounts_and_spreadsheets(written, expected):
    np.testing.assert_array_equal(as_numbers("a", written, TableOptions(), []), expected)


@pytest.mark.parametrize(
    "stored", [[0.123, 0.5, np.nan], [Decimal("0.123"), None, Decimal("2.5")], ["0.123", "0.5", "2"]]
)
def test_numbers_that_were_stored_without_a_unit_are_not_read_with_one(stored):
    known = read_numbers("a", stored, TableOptions(), []).format
    assert known == NumberFormat()
    for cells in (["12.3%", "50.0%"], ["1.5 kWh", "2.5 kWh"]):
        with pytest.raises(UserError, match="in the training data without a unit"):
            read_numbers("a", cells, TableOptions(), [], None, known)
    assert read_numbers("a", [1, 2, 3], TableOptions(), []).format is None


def test_numbers_beside_percents_are_said():
    notes = []
    as_numbers("a", ["5%", 0.02, "7%", "3%"], TableOptions(), notes)
    assert any("also where it is not written, as in 0.02" in note for note in notes)


@pytest.mark.parametrize(
    ("cells", "numbers", "note"),
    [
        (["987", "1,001", "1,043"], [987, 1001, 1043], "thousands comma"),
        (["1,5", "2,25"], [1.5, 2.25], "decimal comma"),
        (["1.234,5", "2"], [1234.5, 2], "thousands point and decimal comma"),
        (["1,234,567", "3"], [1234567, 3], "thousands comma"),
        (["0,123", "0,456"], [0.123, 0.456], "decimal comma"),
        (["1\u00a0234,5", "2,5"], [1234.5, 2.5], "decimal comma"),
        (["1.001", "2.002"], [1.001, 2.002], ""),
        (["1e-9", "?", "NA", ""], [1e-9, np.nan, np.nan, np.nan], ""),
        ([1, None, 2.5], [1, np.nan, 2.5], ""),
        (["01.02.2024", "02.02.2024"], None, ""),
        (["a", "b", "3"], None, ""),
    ],
)
def test_numbers_as_people_write_them(cells, numbers, note):
    check_numbers(cells, numbers, note)


def check_numbers(cells, numbers, note):
    """Checks what cells are read as, None as no numbers, and what is said of it; the notes."""
    notes = []
    column = as_numbers("y", cells, TableOptions(), notes)
    if numbers is None:
        assert column is None
    else:
        np.testing.assert_array_equal(column.astype(float), numbers)
    assert note in " ".join(notes)
    return notes


def test_what_cannot_be_known_is_asked():
    with pytest.raises(UserError, match=r"1,001 may be .*data\.decimal=','.*data\.thousands=','"):
        as_numbers("y", ["1,001", "2,002"], TableOptions(), [])
    assert list(as_numbers("y", ["1,001", "2,002"], TableOptions(decimal=","), [])) == [1.001, 2.002]
    assert list(as_numbers("y", ["1,001", "2,002"], TableOptions(thousands=","), [])) == [1001, 2002]
    with pytest.raises(UserError, match=r"'-200x' in row 3 is no number.*data\.na_values=\['-200x'\]"):
        as_numbers("y", ["1", "2", "-200x"], TableOptions(), [])
    assert np.isnan(as_numbers("y", ["1", "2", "-200"], TableOptions(na_values=["-200"]), [])[2])


@pytest.mark.parametrize(
    ("cells", "numbers", "note"),
    [
        (["987", "1.001", "1.043"], [987, 1001, 1043], "thousands point"),
        (["100", "33.333", "66.667"], [100, 33.333, 66.667], ""),
        (["1500", "1.001"], [1500, 1.001], ""),
        (["0", "0.125", "1.250"], [0, 0.125, 1.25], ""),
        (["1,5", "1.234"], [1.5, 1234], "thousands point and decimal comma"),
        (["1,234", "1.5"], [1234, 1.5], "thousands comma"),
        (["1,5", "2.5"], [1.5, 2.5], "decimal comma"),
        (["12 kWh", "13,5 kWh", "9"], [12, 13.5, 9], "without its unit kWh, also where it is not written, as in 9"),
        (["5 €", "€ 1.234,50"], [5, 1234.5], "without its unit €"),
        (["3%", "4.5%"], [3, 4.5], "without its unit %"),
        (["-$5", "$1,200.50"], [-5, 1200.5], "without its unit $"),
        (["1.2k", "800", "3M"], [1200, 800, 3e6], "M as 1,000,000 and k as 1,000"),
        (["\N{MINUS SIGN}5", "6"], [-5, 6], ""),
        ([Decimal("1.1"), None, Decimal("NaN")], [1.1, np.nan, np.nan], ""),
        (["5 kg", "300 g"], None, "different units (g, kg)"),
        (["1st", "2nd", "3rd", "4th"], None, ""),
        (["20240101T00", "20240102T00"], None, ""),
        ([-9999.0, 1, 2, 3, -9999.0], [-9999, 1, 2, 3, -9999], "-9999 2 times"),
        ([9999.9, 1, 2, 3, 9999.9], [9999.9, 1, 2, 3, 9999.9], "9999.9 2 times"),
        ([-32768, 1, 2, 3, -32768], [-32768, 1, 2, 3, -32768], "-32768 2 times"),
        (["99", "98", "99", "97"], [99, 98, 99, 97], ""),
    ],
)
def test_signs_units_and_marks(cells, numbers, note):
    assert bool(check_numbers(cells, numbers, note)) is bool(note)


@pytest.mark.parametrize("mark", ["decimal", "thousands"])
def test_a_point_beside_small_whole_numbers_is_asked(mark):
    cells = ["7", "12", "1.204"]
    with pytest.raises(UserError, match=rf"1\.204 may be .*data\.{mark}='\.'"):
        as_numbers("y", cells, TableOptions(), [])
    expected = {"decimal": 1.204, "thousands": 1204}[mark]
    assert as_numbers("y", cells, TableOptions(**{mark: "."}), [])[2] == expected


def test_a_decimal_comma_makes_the_point_part_thousands_where_it_can():
    options = TableOptions(decimal=",")
    assert list(as_numbers("y", ["987", "1.501"], options, [])) == [987, 1501]
    assert list(as_numbers("y", ["1.5", "2.25"], options, [])) == [1.5, 2.25]  # another column of the same file
    with pytest.raises(UserError, match=r"'1,234\.5' in line 9 is no number.*data\.thousands="):
        as_numbers("y", ["1,5", "1,234.5"], options, [], ["line 8", "line 9"])


@pytest.mark.parametrize(
    ("mark", "cells"),
    [
        ("-9999.0", ["-9999", "1"]),
        ("-9999", [-9999.0, 1]),
        ("1e+20", [1e20, 1.0]),
        ("-99.9", ["-99,9", "1,5"]),
        ("unknown", ["Unknown", "1"]),
        ("-200", ["-200.00", "1"]),
    ],
)
def test_what_means_a_missing_value_is_compared_as_a_number_too(mark, cells):
    found = as_numbers("y", cells, TableOptions(na_values=[mark]), [])
    assert np.isnan(found[0])
    assert not np.isnan(found[1])


@pytest.mark.parametrize(
    ("signs", "cells", "numbers", "note"),
    [
        (",", ["1,029", "2,001"], [1.029, 2.001], ""),
        (",", ["987", "1,029"], [987, 1.029], ""),
        (",", ["1.029", "1.234,5"], [1029, 1234.5], ""),
        (",", ["0.059", "1.029"], [0.059, 1.029], "decimal point, where the training data has a decimal comma"),
        (".,", ["1,029"], [1029], ""),
        (".", ["1.029", "987"], [1.029, 987], ""),
        (",", ["1.029"], None, "'1.029' in row 1 is no number with a decimal comma"),
        (".", ["1,029", "987"], None, "'1,029' in row 1 is no number with a decimal point"),
        ((".", "", "%"), ["33.1%", "4%"], [33.1, 4], "without its unit %"),
        ((".", "", "%"), ["0.331", "0.04"], None, "has numbers without a unit, and in the training data they are in %"),
        ((".", "", "%"), [0.331, None], None, "write it as there, as in 33.1%"),
        ((".", "", "%"), ["33", "4"], None, "has numbers without a unit"),
        ((".", "", "kg"), ["33.5", "4"], [33.5, 4], "without a unit, which are read in kg, as in the training data"),
        (".", ["3 kg", "4.5 kg"], None, "is in kg, and in the training data without a unit"),
    ],
)
def test_new_numbers_are_read_as_those_of_the_training_data(signs, cells, numbers, note):
    notes, known = [], NumberFormat(*signs)
    if numbers is None:
        with pytest.raises(UserError, match=note):
            read_numbers("y", cells, TableOptions(), notes, None, known)
        return
    assert list(read_numbers("y", cells, TableOptions(), notes, None, known).values) == numbers
    assert bool(notes) is bool(note)
    assert note in "".join(notes)


def test_how_numbers_are_written_is_known_where_it_shows():
    formats = [
        read_numbers("y", cells, TableOptions(), []).format for cells in (["1", "2"], ["1.5"], ["1,5 kg", "2 kg"])
    ]
    assert formats == [None, NumberFormat(), NumberFormat(",", "", "kg")]


def test_a_number_of_thousands_of_digits_is_named():
    with pytest.raises(UserError, match="load holds a number of more digits than can be read"):
        as_numbers("load", ["1.5", 10**400], TableOptions(), [])
    with pytest.raises(UserError, match="in row 2 is no number of so many signs") as caught:
        as_numbers("load", ["1.5", "9" * 5000, "2"], TableOptions(), [])
    assert len(str(caught.value)) < 300

"""Sequences that make their values when they are asked for are the lists of these values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mla_train.data.mapped import Chosen, Joined, Mapped
from mla_train.data.rows import RowNames
from mla_train.data.text_store import TextStore

TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=5), st.integers(0, 3)), min_size=1, max_size=30)


@given(TEXTS, TEXTS, st.data())
def test_they_are_the_lists_of_their_values(first, second, data):
    joined = Joined([TextStore(first), second])
    written = Mapped(repr, joined)
    values = [repr(each) for each in [*first, *second]]
    assert list(joined) == [*first, *second] == joined
    assert list(written) == values == written
    assert (written[1:], written[-1]) == (values[1:], values[-1])
    places = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=9))
    chosen = written.select(np.array(places, int))
    assert chosen == [values[place] for place in places]
    assert Chosen(joined, places).select(range(len(places))) == [[*first, *second][place] for place in places]
    assert written != values[1:]
    assert written != 3
    with pytest.raises(IndexError):
        written[len(values)]


def test_names_of_rows_know_their_parts():
    names = RowNames([("a.csv", "line 2"), ("a.csv", "line 3")], ["x", ""], ["(a.png)", ""], ["crc1", "crc2"])
    assert names == ["a.csv line 2 (a.png)", "a.csv line 3"]
    last, first = names.select([1, 0])
    assert (first.file, first.row, first.id, first.content) == ("a.csv", "line 2", "x", "crc1")
    assert (last.id, last.content) == ("", "crc2")
    assert RowNames([("a.csv", "line 2")], None, None, ["crc1"])[0].id == ""

"""Arrays of different length in one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mla_train.data.ragged import PIECE, Ragged


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=6))
def test_ragged_arrays_are_those_of_a_list(rows):
    arrays = [np.array(row, np.int32) for row in rows]
    ragged = Ragged(iter(arrays))
    assert len(ragged) == len(arrays)
    assert [each.tolist() for each in ragged] == rows
    assert [each.tolist() for each in ragged[1:]] == rows[1:]
    assert ragged.lengths.tolist() == list(map(len, rows))
    assert ragged.values.dtype == np.int32
    if rows:
        assert ragged[-1].tolist() == rows[-1]
    with pytest.raises(IndexError):
        ragged[len(rows)]


def test_many_arrays_share_one():
    ragged = Ragged(np.full(number % 3, number, np.int32) for number in range(2 * PIECE + 1))
    assert all(each.base is ragged.values for each in ragged)
    assert ragged[2 * PIECE].tolist() == [2 * PIECE] * (2 * PIECE % 3)
    assert len(ragged.values) == ragged.lengths.sum()

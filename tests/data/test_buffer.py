"""Buffers in memory and in files, and the sequences that are made on them."""

import multiprocessing
import os
import pickle
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.data import buffer
from mla_train.data.buffer import GrowingBuffer
from mla_train.data.examples import selected
from mla_train.data.mapped import Joined, Mapped
from mla_train.data.ragged import Ragged
from mla_train.data.text_store import TextStore

CELLS = st.lists(st.one_of(st.none(), st.text(st.characters(), max_size=6), st.integers(), st.binary(max_size=2)))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder for temporary files, and a bound that small data passes."""
    monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(buffer, "MOST_IN_MEMORY", 16)
    return tmp_path / "cache"


def grown(parts):
    growing = GrowingBuffer(np.int32)
    for part in parts:
        growing.add(part)
    return growing.finish()


PARTS = [np.arange(3), np.arange(5), np.zeros(0), np.arange(4)]


def test_a_large_buffer_is_in_a_file_without_a_name(cache):
    small, large = grown(PARTS[:1]), grown(PARTS)
    assert small.file is None
    assert large.file is not None
    np.testing.assert_array_equal(large.numbers, np.concatenate(PARTS))
    assert large.numbers.dtype == np.int32
    assert not large.numbers.flags.writeable
    assert list((cache / "results").iterdir()) == []


@pytest.mark.parametrize("fault", ["folder", "first", "later"])
def test_what_has_no_room_on_disk_stays_in_memory(fault, cache, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("mla_train.data.cache._said", set())
    if fault == "folder":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path / "file"))
        content = grown([*PARTS, *PARTS])
    else:
        real, calls = buffer.tempfile.TemporaryFile, []

        def limited(**options):
            file = real(**options)
            stream = mock.Mock(wraps=file)

            def write(data):
                calls.append(data)
                if len(calls) > (0 if fault == "first" else 4):
                    file.write(bytes(data)[:3])
                    raise OSError(28, "No space left on device")
                return file.write(data)

            stream.write = write
            return stream

        with mock.patch.object(buffer.tempfile, "TemporaryFile", limited):
            content = grown([*PARTS, *PARTS])
    np.testing.assert_array_equal(content.numbers, np.concatenate([*PARTS, *PARTS]))
    assert content.file is None
    said = capsys.readouterr().err
    assert ("$MLA_TRAIN_CACHE" if fault == "folder" else "No space left on device") in said
    assert len(said.splitlines()) == 1


def _read(store, results):
    results.put((list(store), len(pickle.dumps(list(store)))))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_reads_the_same_file(method, cache):
    texts = TextStore(["one", None, "two three", "vier"] * 9)
    assert texts[0] == "one"
    assert texts._buffer.file is not None
    context = multiprocessing.get_context(method)
    results = context.Queue()
    process = context.Process(target=_read, args=(texts, results))
    process.start()
    assert results.get(timeout=60)[0] == list(texts)
    process.join()


def test_a_buffer_in_memory_is_pickled():
    texts = Ragged([np.arange(3, dtype=np.int32), np.arange(2, dtype=np.int32)])
    copy = pickle.loads(pickle.dumps(texts))
    assert [each.tolist() for each in copy] == [[0, 1, 2], [0, 1]]


@pytest.mark.parametrize("bound", [0, 10**9])
@settings(deadline=None)
@given(cells=CELLS, data=st.data())
def test_a_store_holds_the_cells_of_a_list(bound, cells, data):
    with mock.patch.object(buffer, "MOST_IN_MEMORY", bound), mock.patch("mla_train.data.text_store.PIECE", 5):
        half = len(cells) // 2
        store = TextStore(cells[:half])
        for cell in cells[half:]:
            store.append(cell)
        assert len(store) == len(cells)
        assert list(store) == cells
        assert [type(each) for each in store] == [type(each) for each in cells]
        assert store[1:] == cells[1:]
        assert store.size == sum(len(each.encode("utf-8", "surrogatepass")) for each in cells if isinstance(each, str))
        places = data.draw(st.lists(st.integers(0, max(0, len(cells) - 1)), max_size=5 * bool(cells)))
        some = store.select(np.array(places, int))
        assert list(some) == [cells[place] for place in places]
        assert list(some.select(np.arange(len(places))[::-1])) == [cells[place] for place in reversed(places)]
        with pytest.raises(IndexError):
            store[len(cells)]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=9), max_size=6), st.integers(1, 4), st.booleans(), st.data())
def test_pieces_are_those_of_a_plain_loop(rows, size, even, data):
    order = data.draw(st.permutations(range(len(rows))))
    ragged = Ragged(np.array(row, np.int32) for row in rows).select(np.array(order, int))
    expected, owners = [], []
    for place, row in enumerate(order):
        numbers = np.array(rows[row], np.int32)
        count = -(-len(numbers) // size)
        pieces = (
            np.array_split(numbers, count) if even and count else np.split(numbers, range(size, len(numbers), size))
        )
        pieces = [piece for piece in pieces if len(piece)]
        expected += [piece.tolist() for piece in pieces]
        owners += [place] * len(pieces)
    pieces, places = ragged.cut(size, even)
    assert [piece.tolist() for piece in pieces] == expected
    assert places.tolist() == owners
    assert all(piece.dtype == np.int32 for piece in pieces)


def test_mapped_and_joined_sequences_are_those_of_lists():
    squares = Mapped(lambda number: number * number, range(6))
    assert squares[2:4] == [4, 9]
    assert list(squares.select(np.array([5, 1]))) == [25, 1]
    assert selected(squares, np.array([3]))[0] == 9
    joined = Joined([[1, 2], [], squares])
    assert list(joined) == [1, 2, 0, 1, 4, 9, 16, 25]
    assert joined[-1] == 25
    assert joined[1:4] == [2, 0, 1]


def test_files_are_closed_when_nothing_uses_them(cache):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    texts = TextStore(["a text that is long"] * 9)
    some = texts.select(np.array([1]))
    assert texts[0] == some[0]
    del texts, some
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before

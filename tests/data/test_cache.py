"""The cache: equal results with and without it, nothing unpickled, and never a reason to stop."""

import errno
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

from mla_train.data import cache
from mla_train.data.cache import cached, stamp, use_cache
from mla_train.data.mapped import Mapped
from tests.helpers import config

calls = []


@dataclass
class Fitted:
    weight: np.ndarray
    loss: float


def compute(value, *others):
    calls.append(value)
    return value


def count(values):
    calls.append(values)
    return len(values)


def fit(value):
    calls.append(value)
    return Fitted(np.full(3, value, np.float32), np.float32(value))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache of the test's own; the folder of its entries."""
    monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_said", set())
    monkeypatch.setattr(cache, "TICK", 0)
    calls.clear()
    return tmp_path / "cache" / "results"


def again(value):
    """What the cache gives for a value that it has."""
    cached(compute)(value)
    calls.clear()
    result = cached(compute)(value)
    assert not calls
    return result


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -1.5,
        float("inf"),
        2**70,
        "a\ud800\n\x00é",
        b"\x00\xff",
        [1, "a", None],
        (1, ("a", [2.5, (3,)])),
        {"a": 1, 2: ("b", [])},
        {"array": [], "tuple": {}},
        np.float32(1.5),
        np.int64(7),
    ],
)
def test_values_come_back_as_they_were(value):
    result = again(value)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    "array",
    [np.arange(6).reshape(2, 3), np.zeros((0, 2), np.float16), np.array(["a", "bcd"]), np.array([True]), np.array(3)],
)
def test_arrays_come_back_as_they_were(array):
    result = again([array, "x"])[0]
    assert (result.dtype, result.shape) == (array.dtype, array.shape)
    assert (result == array).all()
    result[...] = array  # can be written to


def test_matrices_tensors_and_dataclasses_come_back_as_they_were():
    matrix = scipy.sparse.random(5, 7, 0.3, format="csr", random_state=0)
    assert (again(matrix) != matrix).nnz == 0
    assert torch.equal(again(torch.arange(3)), torch.arange(3))
    one, other = cached(fit, kind=Fitted)(2.0), cached(fit, kind=Fitted)(2.0)
    assert calls == [2.0]
    assert (one.weight == other.weight).all()
    assert (type(other.loss), other.loss) == (np.float32, 2)


def test_what_a_result_depends_on_is_in_the_key(monkeypatch, tmp_path):
    file = tmp_path / "a"
    file.write_text("a")
    arguments = [1, 1.0, True, "1", [1], (1,), {1: 1}, np.array(1), np.array([1]), np.array([1], np.int8), b"1", None]
    for value in [*arguments, *arguments]:
        cached(compute)(value)
    assert len(calls) == len(arguments)
    cached(compute)(["ab", "c"])
    cached(compute)(["a", "bc"])
    cached(compute)(1, 2)
    cached(fit, kind=Fitted)(1)
    cached(compute)(1, file)
    file.write_text("b")
    cached(compute)(1, file)
    assert len(calls) == len(arguments) + 6
    for count, name in enumerate(("_code", "_versions"), 7):
        monkeypatch.setattr(cache, name, lambda *_: ["other"])
        cached(compute)(1)
        assert len(calls) == len(arguments) + count, name


def test_the_source_of_the_function_is_in_the_key(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "made_module.py").write_text("def work(x):\n    return x\n")
    __import__("made_module")
    cache._code.cache_clear()
    first = cache._code("made_module")
    (tmp_path / "made_module.py").write_text("def work(x):\n    return x + 1\n")
    assert cache._code("made_module") == first  # once a process
    cache._code.cache_clear()
    assert cache._code("made_module") != first
    assert cache._code("mla_train") != first


def test_a_file_of_the_same_size_and_time_is_another_file(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    status, first = file.stat(), stamp(file)
    time.sleep(0.02)
    file.write_bytes(b"two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_mtime_ns == status.st_mtime_ns
    assert stamp(file) != first


def test_a_damaged_entry_is_noticed_and_written_anew(folder, capsys):
    value = {"a": np.arange(50), "b": "text" * 20, "c": [1.5, None]}
    cached(compute)(value)
    (entry,) = folder.iterdir()
    whole, chance = entry.read_bytes(), random.Random(0)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        entry.write_bytes(damaged)
        result = cached(compute)(value)
        assert (result["a"] == value["a"]).all()
        assert (result["b"], result["c"]) == (value["b"], value["c"])
    for damaged in (b"", whole[:100], b"\x80\x04c" + b"os\nsystem\n"):
        entry.write_bytes(damaged)
        calls.clear()
        cached(compute)(value)
        assert calls
    assert "is damaged and computed anew" in capsys.readouterr().err
    calls.clear()
    cached(compute)(value)
    assert not calls


def test_an_array_whose_head_says_less_than_is_there_is_noticed(folder, capsys):
    value = {"a": np.arange(50.0)}
    cached(compute)(value)
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    start = whole.index(b"\x93NUMPY", whole.index(b"\x93NUMPY") + 1)  # behind the tree of plain values
    for place in range(start, start + 80):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            entry.write_bytes(damaged)
            np.testing.assert_array_equal(cached(compute)(value)["a"], value["a"])
    assert "is damaged and computed anew" in capsys.readouterr().err


def test_a_pickle_is_not_loaded(folder):
    cached(compute)([np.arange(3)])
    (entry,) = folder.iterdir()
    np.savez(entry, tree=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    calls.clear()
    assert (cached(compute)([np.arange(3)])[0] == np.arange(3)).all()
    assert calls


def test_the_folder_is_the_users_own(folder, monkeypatch, capsys):
    cached(compute)(1)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    cached(compute)(1)
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    calls.clear()
    assert cached(compute)(1) == 1
    assert calls
    assert "not a folder of yours" in capsys.readouterr().err


def test_a_link_is_not_followed(folder, tmp_path, capsys):
    folder.parent.mkdir()
    (tmp_path / "other").mkdir()
    folder.symlink_to(tmp_path / "other")
    assert cached(compute)(1) == 1
    assert not list((tmp_path / "other").iterdir())


@pytest.mark.parametrize("how", ["file", "dev", "no home"])
def test_without_a_folder_all_is_computed(how, tmp_path, monkeypatch, capsys):
    if how == "no home":
        monkeypatch.delenv("MLA_TRAIN_CACHE")
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("Could not determine home")))
    else:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path / "file") if how == "file" else "/dev/null")
    assert [cached(compute)(value) for value in (1, 1, 2)] == [1, 1, 2]
    assert calls == [1, 1, 2]
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_is_said_once(number, folder, monkeypatch, capsys):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(np, "savez", fail)
    assert [cached(compute)(value) for value in (1, 2)] == [1, 2]
    assert not list(folder.iterdir())
    (line,) = capsys.readouterr().err.splitlines()
    assert os.strerror(number) in line


def test_values_that_cannot_be_kept_are_computed(capsys):
    for value in (object(), [object()], np.array([object()])):
        assert cached(compute)(value) is value
    assert "is not cached" in capsys.readouterr().err


def test_a_sequence_that_makes_its_values_is_known_by_them(capsys):
    calls.clear()
    for words in (["a", "b"], ["a", "b"], ["a", "c"]):
        assert cached(count)(Mapped(str.upper, words)) == 2
    assert len(calls) == 2
    assert "is not cached" not in capsys.readouterr().err


def test_old_entries_are_removed(folder, monkeypatch):
    monkeypatch.setattr(cache, "MOST_BYTES", 30_000)
    for value in range(4):
        cached(compute)([value, np.zeros(1000)])
        time.sleep(0.01)
        cached(compute)([0, np.zeros(1000)])  # used again and again
    calls.clear()
    cached(compute)([0, np.zeros(1000)])
    cached(compute)([3, np.zeros(1000)])
    assert not calls
    cached(compute)([1, np.zeros(1000)])
    assert calls
    assert sum(entry.stat().st_size for entry in folder.iterdir()) <= 30_000
    old, left = (folder / f"{part}compute-{'0' * 32}.npz" for part in ("", ".unfinished.0a1b2c3d."))
    for file, days in ((old, 100), (left, 2)):
        file.write_bytes(b"x")
        os.utime(file, times=(time.time() - days * 86400,) * 2)
    cached(compute)("new")
    assert not old.exists()
    assert not left.exists()


def test_the_cache_can_be_turned_off(folder):
    assert config("task=text_classification").data.cache
    try:
        use_cache(config("data.cache=false").data.cache)
        cached(compute)(1)
        cached(compute)(1)
    finally:
        use_cache(True)
    assert calls == [1, 1]
    assert not folder.exists()


def test_files_of_others_in_the_folder_are_not_removed(tmp_path, monkeypatch):
    own = [f"compute-{'0a' * 16}.npz", f".unfinished.0a1b2c3d.compute-{'0b' * 16}.npz"]
    others = ["thesis.npz", "results-2020.npz", ".unfinished.12.a", "a.txt"]
    for name in (*own, *others):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (0, 0))
    cache._remove_old(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(others)

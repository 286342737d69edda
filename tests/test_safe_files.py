"""Files are written completely or not at all, and a changed bit is noticed."""

import os
from random import Random
from unittest import mock

import pytest

from mla_train.safe_files import CHECKSUMS, atomic_folder, atomic_path, is_whole, remove_unfinished, write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "a.json"
    write_atomically(file, "old")
    with pytest.raises(UnicodeEncodeError), atomic_path(file) as part, part.open("w", encoding="ascii") as stream:
        stream.writelines(["half", "ü"])
    with pytest.raises(FileNotFoundError), atomic_path(file):  # nothing was written
        pass
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.json"]
    (tmp_path / "plain").touch()
    assert file.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_is_replaced_as_a_whole_or_stays(tmp_path):
    folder = tmp_path / "model"
    for name in ("old", "new"):
        with atomic_folder(folder) as part:
            (part / name).write_text(name)
            assert names(tmp_path) == sorted([part.name, *["model"] * (name == "new")])
    assert names(folder) == ["new"]

    def break_off():
        with atomic_folder(folder) as part:
            (part / "half").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert names(tmp_path) == ["model"]
    assert names(folder) == ["new"]


def test_text_with_half_of_a_character_stays_json(tmp_path):
    write_atomically(tmp_path / "a.json", '"ü\udc80"')
    assert (tmp_path / "a.json").read_bytes() == '"ü\\udc80"'.encode()


@pytest.mark.parametrize("has_links", [True, False])
def test_at_every_moment_the_file_and_its_checksum_agree(has_links, tmp_path, monkeypatch):
    """Also where the process is killed between any two steps: then nothing looks damaged, and something can be resumed."""
    last, previous = tmp_path / "last", tmp_path / "previous"
    replace, states = os.replace, []

    def watched(source, target):
        for _ in range(2):
            states.append([(is_whole(file), file.exists() and file.read_text()) for file in (last, previous)])
            if len(states) % 2:
                replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    if not has_links:
        monkeypatch.setattr(os, "link", mock.Mock(side_effect=OSError("not supported")))
    for number in range(4):
        with atomic_path(last, checked=True, previous=previous) as part:
            part.write_text(str(number))
    assert len(states) > 15
    for state in states[2:]:
        assert all(whole or content is False for whole, content in state)
        assert any(whole for whole, _ in state) or not any(content for _, content in state)
        assert not has_links or state[0][0] or not state[1][0]  # the file is there
    assert (last.read_text(), previous.read_text()) == ("3", "2")
    monkeypatch.undo()
    previous.unlink()
    os.link(last, previous)  # as a kill leaves it
    with atomic_path(last, checked=True, previous=previous) as part:
        part.write_text("4")
    assert (last.read_text(), previous.read_text()) == ("4", "3")
    assert names(tmp_path) == [CHECKSUMS, "last", "previous"]


def test_every_changed_bit_is_noticed(tmp_path):
    file, random = tmp_path / "a.bin", Random(0)
    content = random.randbytes(10_000)
    write_atomically(file, content, checked=True)
    assert is_whole(file)
    for _ in range(100):
        changed = bytearray(content)
        changed[random.randrange(len(content))] ^= 1 << random.randrange(8)
        file.write_bytes(changed)
        assert not is_whole(file)
    file.write_bytes(content[:-1])
    assert not is_whole(file)
    (tmp_path / CHECKSUMS).unlink()  # as in folders of earlier versions
    assert is_whole(file)


def test_what_a_kill_left_is_removed(tmp_path):
    for folder in (tmp_path, tmp_path / "model", tmp_path / "figures" / "attention"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".unfinished.12.a.json").write_text("{")
        (folder / "a.json").write_text("{}")
    (tmp_path / "figures" / ".unfinished.x").mkdir()
    remove_unfinished(tmp_path)
    assert not list(tmp_path.rglob(".unfinished*"))
    assert len(list(tmp_path.rglob("a.json"))) == 3


def test_a_folder_is_never_half_removed_in_its_place(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    with atomic_folder(folder) as part:
        (part / "old").touch()
    seen = []
    monkeypatch.setattr("mla_train.safe_files.shutil.rmtree", lambda path, **_: seen.append((path.name, names(folder))))
    with atomic_folder(folder) as part:
        (part / "new").touch()
    assert [content for _, content in seen] == [["new"]]
    assert seen[0][0].startswith(".unfinished.")
    replace = os.replace

    def no_room(source, target):
        if (source / "newer").exists():
            raise OSError("no room")
        replace(source, target)

    def fail():
        with atomic_folder(folder) as part:
            (part / "newer").touch()

    monkeypatch.setattr(os, "replace", no_room)
    with pytest.raises(OSError, match="no room"):
        fail()
    assert names(folder) == ["new"]

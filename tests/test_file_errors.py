"""An error of a disk, or of what lies where a file should be, is one line that names the file, and a closed pipe is none."""

import errno
import os
import signal
import sys
import time

import pytest

from mla_train.commands import predict
from mla_train.errors import UserError, file_errors, run_script
from mla_train.safe_files import atomic_path


def ended(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_script(command)
    return stopped.value.code, capsys.readouterr().err


@pytest.mark.parametrize("name", ["taken", "file/a.txt", "none/a.txt", "x" * 300])
def test_what_cannot_be_written_is_one_line_with_its_name(name, tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    code, said = ended((tmp_path / name).touch if name != "taken" else lambda: (tmp_path / name).write_text(""), capsys)
    assert code == 1
    assert said.startswith(f"error: {tmp_path / name}: ")
    assert said.count("\n") == 1


def test_a_file_that_is_half_written_has_the_name_that_it_gets():
    with pytest.raises(UserError, match=r"^runs/a\.json: File too large$"), file_errors():
        raise OSError(errno.EFBIG, "File too large", "runs/.unfinished.0a1b2c3d.a.json")
    with pytest.raises(ConnectionRefusedError), file_errors():  # it is not about files
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EPIPE, ""), (errno.ENOSPC, "error: not all could be written: x\n")]
)
def test_an_output_that_takes_no_more_ends_a_script(number, said, capsys, monkeypatch):
    class Output:
        def write(self, _):
            raise OSError(number, "x")

    monkeypatch.setattr(sys, "stdout", Output())
    monkeypatch.setattr("mla_train.errors.close_output", lambda: None)
    assert ended(lambda: print("a"), capsys) == (1, said)


def test_answers_are_refused_a_place_before_the_first_prediction(tmp_path):
    source = tmp_path / "a.csv"
    source.write_text("text\na\n")
    (tmp_path / "link.csv").symlink_to(source)
    (tmp_path / "b.csv").mkdir()
    for name, reason in (
        ("a.csv", "is the input"),
        ("link.csv", "is the input"),
        ("b.csv", "a folder"),
        ("c/a.csv", "c"),
    ):
        with pytest.raises(UserError, match=reason):
            predict.check_output(tmp_path / name, str(source))
    predict.check_output(tmp_path / "new.csv", str(source))
    predict.check_output(tmp_path / "new.csv", "-")


def test_a_command_that_is_terminated_leaves_nothing_half_written(tmp_path, capsys):
    before = signal.getsignal(signal.SIGTERM)

    def write():
        with atomic_path(tmp_path / "answers.csv") as part:
            part.write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    assert ended(write, capsys) == (143, "")
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) is before

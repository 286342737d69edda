"""One process at a time works in a run folder, and a command removes only what it has made itself."""

import errno
import multiprocessing
import os
import shutil
import signal
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from unittest import mock

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from mla_train.errors import Interrupted, UserError
from mla_train.locks import is_locked, lock
from mla_train.training import run_folder
from mla_train.training.run_folder import CHOSEN, find_run
from mla_train.training.run_lock import lock_run, require_owned
from tests.helpers import config, run_here

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def no_chosen_folder(monkeypatch):
    monkeypatch.setenv(CHOSEN, "")
    monkeypatch.delenv(CHOSEN)


def auto(folder, *words):
    return config(f"run_dir={folder}", "resume=auto", *words)


def in_process(function, *arguments):
    process = FORK.Process(target=function, args=arguments)
    process.start()
    return process


def start(settings, folder, barrier, outcomes, fails):
    """One of several commands that find the same folder before any of them has locked it."""
    run_folder = find_run(settings)
    barrier.wait()
    try:
        with lock_run(run_folder, settings) as run:
            (run.path / "log.txt").write_text("mine")
            time.sleep(0.05)
            if fails:
                raise ValueError
            (run.path / "metrics.csv").write_text("step\n1\n")
            time.sleep(0.15)
            outcomes.put("trained" if (run.path / "metrics.csv").exists() else "lost")
    except UserError as error:
        outcomes.put(str(error))
    except ValueError:
        outcomes.put("failed")


@pytest.mark.parametrize("fails", [False, True])
def test_of_several_starters_one_trains_and_nobody_harms_it(fails, tmp_path):
    for attempt in range(3):
        folder, count = tmp_path / str(attempt), 4
        barrier, outcomes = FORK.Barrier(count), FORK.Queue()
        # One of them may fail while it owns the folder: what it removes is its own.
        processes = [
            in_process(start, auto(folder), folder, barrier, outcomes, fails and number == 0) for number in range(count)
        ]
        said = [outcomes.get(timeout=20) for _ in processes]
        for process in processes:
            process.join()
        assert "lost" not in said
        refused = [each for each in said if "is being trained by another process" in each]
        assert said.count("trained") + said.count("failed") + len(refused) == count
        assert said.count("trained") == 1 or fails
        assert (folder / "metrics.csv").exists() == ("trained" in said)
        assert (folder / "config.yaml").exists() == ("trained" in said)
        assert not (folder / ".lock").exists()


def test_a_refused_command_leaves_the_folder_of_the_other_alone(tmp_path):
    settings = auto(tmp_path / "run")
    with lock_run(find_run(settings), settings) as run, ExitStack() as stack:
        before = sorted(run.path.rglob("*"))
        with pytest.raises(UserError, match=r"being trained by another process \(process \d+ on .* since"):
            stack.enter_context(lock_run(find_run(settings), settings))
        assert sorted(run.path.rglob("*")) == before
        with pytest.raises(UserError, match=r"lr .*\n?.*0\.5"):  # another config is refused before the lock, too
            find_run(auto(tmp_path / "run", "lr=0.5"))
        other = config("task=text_classification", f"run_dir={tmp_path / 'run'}", "resume=auto")
        expected = rf"none but resume={tmp_path / 'run'}. It differs in task.name \(image_\w+ there, text_\w+ now\), data.name .*\.\.\.$"
        with pytest.raises(UserError, match=expected):
            find_run(other)


def test_two_runs_without_a_name_have_two_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = config("resume=auto")
    folder = find_run(settings)
    with lock_run(folder, settings) as first, lock_run(folder, settings) as second:
        assert first.path != second.path
        # Both are taken: a third gets one of its own, and leaves nothing when it fails.
        with suppress(KeyError), lock_run(find_run(settings), settings) as third:
            assert third.path not in (first.path, second.path)
            raise KeyError
        assert not third.path.exists()
        (first.path / "metrics.csv").write_text("step\n")
    assert find_run(settings).path in (first.path, second.path)


def test_what_a_kill_left_before_the_first_file_does_not_block_the_same_command(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (".lock", ".unfinished.ab12.config.yaml"):
        (folder / name).write_text("half")
    settings = config(f"run_dir={folder}")
    for _ in range(2):  # and once more after config.yaml, where no step was done
        with pytest.raises(Interrupted), lock_run(find_run(settings), settings):
            raise Interrupted("", 1)
        assert (folder / "config.yaml").is_file()
        assert not list(folder.glob(".unfinished*"))
    (folder / "metrics.csv").write_text("step\n")
    with pytest.raises(UserError, match="add resume=auto"):
        find_run(settings)


def test_an_error_removes_what_the_command_made_and_only_that(tmp_path):
    folder, settings = tmp_path / "run", auto(tmp_path / "run")
    with pytest.raises(ValueError, match="x"), lock_run(find_run(settings), settings):
        raise ValueError("x")
    assert not folder.exists()
    with pytest.raises(Interrupted), lock_run(find_run(settings), settings):
        raise Interrupted("", 1)
    with pytest.raises(ValueError, match="x"), lock_run(find_run(settings), settings):
        raise ValueError("x")
    assert (folder / "config.yaml").is_file()  # of the command before


def test_results_of_a_process_that_was_killed_before_its_report_are_not_the_end(tmp_path):
    settings = auto(tmp_path / "run")
    with lock_run(find_run(settings), settings) as run:
        run.results.write_text("{}")
        assert run.is_finished  # another command shows them
        (tmp_path / "lock").write_bytes(run.lock.read_bytes())
    assert run.is_finished
    (tmp_path / "lock").rename(run.lock)  # as kill -9 leaves it
    assert not run.is_finished


def test_an_error_leaves_what_somebody_else_has_put_into_the_new_folder(tmp_path):
    folder, settings = tmp_path / "run", auto(tmp_path / "run")
    with suppress(KeyError), lock_run(find_run(settings), settings):
        (folder / "notes.txt").write_text("mine")
        (folder / "log.txt").write_text("of the run")
        raise KeyError
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    run_here(folder, "epochs=1", "batch_size=256", "baselines=none", "seed=7")
    return folder


def test_a_run_whose_folder_was_moved_leaves_the_one_in_its_place_alone(tmp_path):
    settings = auto(tmp_path / "run")
    with suppress(KeyError), lock_run(find_run(settings), settings) as run:
        require_owned(run)
        run.path.rename(tmp_path / "moved")
        with pytest.raises(UserError, match="was moved or removed"):  # it would make a second folder there
            require_owned(run)
        run.path.mkdir()
        for name in (".lock", "config.yaml"):
            (run.path / name).write_text("of another process")
        with pytest.raises(UserError, match="was moved or removed while it was trained"):
            require_owned(run)
        raise KeyError
    assert (tmp_path / "run" / "config.yaml").is_file()
    assert (tmp_path / "run" / ".lock").is_file()
    assert not is_locked(tmp_path / "moved" / ".lock")


@pytest.mark.parametrize("moment", ["on_train_batch_end", "on_validation_end", "compute_baselines"])
def test_a_run_that_is_moved_writes_nothing_over_the_run_in_its_place(moment, finished, tmp_path, monkeypatch):
    def exchange(*arguments, **options):
        if not (tmp_path / "moved").exists():
            (tmp_path / "run").rename(tmp_path / "moved")
            shutil.copytree(finished, tmp_path / "run")
        return {}

    if moment == "compute_baselines":
        monkeypatch.setattr("mla_train.training.run.compute_baselines", exchange)
    else:
        monkeypatch.setattr(f"mla_train.training.progress.RunProgress.{moment}", exchange)
    with pytest.raises(UserError, match="was moved or removed while it was trained"):
        run_here(tmp_path / "run", "epochs=1", "batch_size=256", "baselines=none", "seed=1")
    for file in (file for file in finished.rglob("*") if file.is_file()):
        assert file.read_bytes() == (tmp_path / "run" / file.relative_to(finished)).read_bytes()
    assert not (tmp_path / "moved" / "results.json").exists()


@pytest.mark.parametrize(
    "name", ["a b", "a=b", "q'u", "a\\'b", "a\\", "007", "1e5", "null", "x/1", "./.5", "a,b", "[x", "$a", "ü"]
)
def test_any_folder_can_be_named_to_a_run(name):
    word = f"run_dir={run_folder.quoted(Path(name))}"
    assert OverridesParser.create().parse_override(word).value() == str(Path(name))


def test_a_config_is_read_again_whatever_the_command_that_wrote_it(tmp_path, monkeypatch):
    for number, sign in enumerate("\x1b\x85\u2028\r\x00"):
        monkeypatch.setattr("sys.argv", ["train.py", f"data.root=a{sign}lr: 7"])
        settings = auto(tmp_path / str(number))
        with suppress(Interrupted), lock_run(find_run(settings), settings):
            raise Interrupted("", 1)
        find_run(settings)


def hold(file, ready, child):
    with lock(file):
        if child:
            in_process(time.sleep, 30)
        ready.set()
        time.sleep(30)


@pytest.mark.parametrize("child", [False, True])
def test_a_killed_owner_has_no_lock_even_if_its_workers_live(child, tmp_path):
    ready = FORK.Event()
    process = in_process(hold, tmp_path / "lock", ready, child)
    assert ready.wait(20)
    assert is_locked(tmp_path / "lock")
    os.kill(process.pid, signal.SIGKILL)
    time.sleep(0.1)  # a process that nobody has waited for
    assert not is_locked(tmp_path / "lock")
    with lock(tmp_path / "lock") as is_free:
        assert is_free
    process.join()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"cannot write to /proc/run: .*start again"):
        run_here("/proc/run")
    monkeypatch.setattr("mla_train.locks.os.open", mock.Mock(side_effect=OSError(errno.EROFS, "Read-only file system")))
    with pytest.raises(UserError, match=r"cannot write to .*Read-only file system"):
        run_here(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_runs_of_the_same_second_have_a_folder_each(tmp_path, monkeypatch):
    class Still(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_folder, "datetime", Still)
    settings = config("task=image_classification")
    for name in ("2026-01-02_03-04-05", "2026-01-02_03-04-05_2", "2026-01-02_03-04-05_3"):
        folder = run_folder.find_run(settings)
        assert folder.path.name == name
        folder.path.mkdir(parents=True)
        folder.results.write_text("{}")  # even where the one before is finished already


def test_a_run_that_is_stopped_before_its_pages_are_whole_is_not_finished(tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    words = ["debug=fast", "baselines=none"]
    with pytest.raises(KeyboardInterrupt):
        run_here(tmp_path / "run", *words, report=stop)
    assert run_folder.RunFolder(tmp_path / "run").results.is_file()
    assert not run_folder.RunFolder(tmp_path / "run").is_finished
    seen = []
    run_here(tmp_path / "run", *words, "resume=auto", report=seen.append)
    assert len(seen) == 1
    assert run_folder.RunFolder(tmp_path / "run").is_finished

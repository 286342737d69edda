"""One process, two, or several accumulation steps: the same losses."""

import csv
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import pytest

from mla_train.locks import is_locked
from mla_train.safe_files import is_whole
from tests.helpers import ROOT, SMALL, train
from tests.wandb_files import runs

pytestmark = pytest.mark.slow
WORDS = [*SMALL, "regularization=none", "epochs=2", "batch_size=100", "logger.every=1", "run_dir=run"]
WORDS += ["baselines=none"]
WAYS = {
    "two_processes": ["hardware=ddp", "hardware.accelerator=cpu", "hardware.devices=2", "logger=wandb"],
    "divided_weights": ["hardware=fsdp", "hardware.accelerator=cpu", "hardware.devices=2"],
    "checkpointed_activations": ["hardware.activation_checkpointing=true"],
    "accumulation": ["hardware.accumulate_grad_batches=4"],
}  # fmt: skip


def losses(run):
    with (run / "metrics.csv").open() as stream:
        return [float(row["train/loss"]) for row in csv.DictReader(stream) if row["train/loss"]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    train(*WORDS, cwd=folder)
    return folder / "run"


@pytest.mark.parametrize("way", WAYS)
def test_the_curve_does_not_depend_on_how_a_batch_is_cut(way, alone, tmp_path):
    train(*WORDS, *WAYS[way], cwd=tmp_path)
    run = tmp_path / "run"
    curve, expected = losses(run), losses(alone)
    assert len(curve) == len(expected) == 26
    assert max(abs(a - b) for a, b in zip(curve, expected, strict=True)) < 1e-5
    # Every example is scored once: as many predictions as test examples, the same scores.
    results, whole = (json.loads((r / "results.json").read_text()) for r in (run, alone))
    assert results["metrics"]["test"]["accuracy"] == pytest.approx(whole["metrics"]["test"]["accuracy"], abs=0.006)
    assert len((run / "predictions.jsonl").read_text().splitlines()) == results["examples"]["test"] == 359
    assert len(list(tmp_path.glob("*"))) == 1  # no second folder from the second process
    if way == "two_processes":  # and W&B is told by one of them
        (logged,) = runs(run)
        assert [value for (name, _), value in logged.scalars().items() if name == "train/loss"] == curve
        assert logged.summary["val/accuracy"]["max"] == results["monitor"]["best"]


@pytest.mark.parametrize("first", ["divided", "whole"])
def test_a_run_goes_on_with_divided_and_with_whole_weights(first, alone, tmp_path):
    ways = [WAYS["divided_weights"], []]
    before, after = ways if first == "divided" else reversed(ways)
    process = start(*WORDS, *before, "checkpoint.every_minutes=0", cwd=tmp_path)
    wait_for(tmp_path / "run" / "checkpoints" / "previous.ckpt", process)
    process.terminate()
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said + errors
    train(*WORDS, *after, "checkpoint.every_minutes=0", "resume=auto", cwd=tmp_path)
    assert_same_curve(tmp_path / "run", alone)


def test_a_killed_process_ends_the_run_with_one_message(tmp_path):
    words = [*WORDS, *WAYS["two_processes"][:3], "epochs=200", "checkpoint.every_minutes=0"]
    process = start(*words, cwd=tmp_path)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    wait_for(last, process)
    children = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    (other,) = map(int, children)
    os.kill(other, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = errors.splitlines()
    assert "process 1 of this run was ended by SIGKILL" in line
    assert line.endswith("resume=run")
    assert is_whole(last)
    assert not is_locked(tmp_path / "run" / ".lock")


def test_a_process_ends_with_the_first_one_also_while_it_loads(tmp_path):
    process = start(*WORDS, *WAYS["two_processes"][:3], "epochs=200", cwd=tmp_path)
    children, end = "", time.monotonic() + 120
    while not children and time.monotonic() < end:
        time.sleep(0.05)
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout
    (other,) = map(int, children.split())
    time.sleep(0.5)  # it imports torch
    process.kill()
    try:
        process.communicate(timeout=60)  # until the other, which writes to the same pipe, has ended
    except subprocess.TimeoutExpired:
        os.kill(other, signal.SIGKILL)
        raise


def torchrun():
    """The first command of the document, for this machine."""
    text = (ROOT / "docs" / "scaling.md").read_text().replace("\\\n", "")
    line, *_ = (shlex.split(line) for line in text.splitlines() if line.startswith("torchrun "))
    here = {
        "HOST:29500": f"127.0.0.1:{free_port()}",
        "train.py": str(ROOT / "train.py"),
        "run_dir=runs/big": "run_dir=run",
    }
    words = [here.get(word, word) for word in line[1:]]
    more = [*WORDS, "hardware.threads=1", "checkpoint.every_minutes=0"]
    return [sys.executable, "-m", "torch.distributed.run", *words, *more]


@contextmanager
def agents_that_lose_a_process(command, count, folder):
    """Agents of torchrun, the last of which loses its last process when the first checkpoint is there."""
    agents = [
        subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for _ in range(count)
    ]
    try:
        wait_for(folder / "run" / "checkpoints" / "last.ckpt", agents[0])
        pids = subprocess.run(["pgrep", "-P", str(agents[-1].pid)], capture_output=True, text=True, check=True).stdout
        os.kill(int(pids.split()[-1]), signal.SIGKILL)
        yield agents
    finally:
        for agent in agents:
            with suppress(ProcessLookupError):
                os.killpg(agent.pid, signal.SIGKILL)


def test_torchrun_starts_a_run_on_two_machines_that_one_process_finishes(alone, tmp_path):
    with agents_that_lose_a_process(torchrun(), 2, tmp_path) as agents:
        said = [agent.communicate(timeout=90)[0] for agent in agents]
    assert all(agent.returncode for agent in agents)
    (first,) = (each for each in said if "reading the data ..." in each)  # one of them prints
    assert "another process of this run has ended; checkpoints saved before" in "".join(said)
    assert "Continue with: torchrun ... " in "".join(said)
    assert first.count("reading the data ...") == 1
    assert not (tmp_path / "run" / "results.json").exists()
    train(*WORDS, "hardware.threads=1", "checkpoint.every_minutes=0", "resume=auto", cwd=tmp_path)
    assert_same_curve(tmp_path / "run", alone)


def assert_same_curve(run, other):
    curve, expected = losses(run), losses(other)
    assert len(curve) == len(expected)
    assert max(abs(a - b) for a, b in zip(curve, expected, strict=True)) < 1e-5


def start(*words, cwd):
    return subprocess.Popen(
        [sys.executable, ROOT / "train.py", *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(file, process):
    deadline = time.monotonic() + 120
    while not file.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]

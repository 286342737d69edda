"""The folder of a run: where it is, and what happens if it exists."""

import fcntl
import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from omegaconf import OmegaConf

from mla_train.config import TrainConfig
from mla_train.config.stored import read_stored
from mla_train.config.typed import flatten
from mla_train.errors import UserError
from mla_train.masking import mask_command, mask_values
from mla_train.program import program

RUNS = Path("runs")
# Passes the folder that the first process chose to the other processes of a distributed run.
CHOSEN = "MLA_TRAIN_RUN_DIR"


@dataclass(frozen=True)
class RunFolder:
    """Paths in a run folder.

    Attributes:
        path: Path of the folder.
        fresh: Whether the path may be changed if it is taken.
    """

    path: Path
    fresh: bool = False

    @property
    def resumed(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return (self.checkpoints / "last.ckpt").is_file()

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def results(self) -> Path:
        """Metrics, baselines and costs; exists when the run is finished."""
        return self.path / "results.json"

    @property
    def checkpoints(self) -> Path:
        """best.ckpt and last.ckpt."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """Weights, spec and config, for use without the trainer."""
        return self.path / "model"

    @property
    def figures(self) -> Path:
        """Folder of figures."""
        return self.path / "figures"

    def nothing_done(self) -> bool:
        """Whether no step was logged and no checkpoint written, so that the folder can be removed without loss."""
        kept = (self.path / "metrics.csv", self.results, self.checkpoints / "last.ckpt", self.checkpoints / "best.ckpt")
        return self.path.is_dir() and self.config.is_file() and not any(file.exists() for file in kept)


@contextmanager
def alone(folder: RunFolder) -> Iterator[None]:
    """Holds a lock on the run while it is trained; refuses a run that another process trains."""
    if is_child():
        yield
        return
    with folder.config.open() as file:
        if not _lock(file):
            raise UserError(f"{folder.path} is being trained by another process; wait for it or stop it")
        yield


def _lock(file: IO[str]) -> bool:
    """Locks an open file until it is closed; returns whether it was free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def plain(config: TrainConfig) -> dict[str, Any]:
    """A config as nested dicts of plain values."""
    return OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)  # type: ignore[return-value]


def prepare_run(folder: RunFolder, config: TrainConfig) -> RunFolder:
    """Creates the folder and writes the config into it; a fresh path gets a number if another run has just taken it."""
    if is_child():
        return folder
    path, number = folder.path, 1
    while folder.fresh:
        try:
            path.mkdir(parents=True)
            break
        except FileExistsError:
            number += 1
            path = folder.path.with_name(f"{folder.path.name}_{number}")
    folder = RunFolder(path)
    folder.checkpoints.mkdir(parents=True, exist_ok=True)
    folder.figures.mkdir(exist_ok=True)
    if not folder.config.is_file():
        command = "# " + shlex.join([*program(), *sys.argv[1:]]).replace("\n", " ") + "\n"
        folder.config.write_text(mask_command(command + OmegaConf.to_yaml(OmegaConf.create(plain(config)))))
    os.environ[CHOSEN] = str(path.resolve())
    return folder


def is_child() -> bool:
    """Whether another process has chosen the folder."""
    return CHOSEN in os.environ and int(os.environ.get("LOCAL_RANK", 0)) > 0


def find_run(config: TrainConfig) -> RunFolder:
    """Finds the folder of a run without creating it.

    Args:
        config: Config whose `run_dir` and `resume` choose the folder; all else must agree with a run in it.

    Raises:
        UserError: The folder holds something else, or a run of another config.
    """
    if is_child():
        return RunFolder(Path(os.environ[CHOSEN]))
    if config.resume == "auto" and config.run_dir is None:
        return _newest_unfinished(config) or _fresh_run(config)
    if config.resume not in (None, "auto"):
        assert config.resume is not None
        folder = RunFolder(Path(config.resume))
        if config.run_dir is not None and Path(config.run_dir).resolve() != folder.path.resolve():
            raise UserError(f"resume={config.resume} and run_dir={config.run_dir} name different folders; remove one")
        if not folder.config.is_file():
            raise UserError(f"resume={config.resume}: there is no run in that folder (no config.yaml)")
        return _continued(folder, config)
    if config.run_dir is None:
        return _fresh_run(config)
    folder = RunFolder(Path(config.run_dir))
    blocking = next((parent for parent in folder.path.parents if parent.exists() and not parent.is_dir()), None)
    if blocking is not None:
        raise UserError(f"run_dir={config.run_dir}: {blocking} is a file, not a folder")
    if not folder.path.exists():
        return folder
    if not folder.path.is_dir():
        raise UserError(f"run_dir={config.run_dir} is a file; name a folder")
    if folder.config.is_file():
        if config.resume is None:
            raise UserError(
                f"run_dir={config.run_dir} holds a run already: add resume=auto to continue it, or name another folder"
            )
        return _continued(folder, config)
    if any(folder.path.iterdir()):
        raise UserError(f"run_dir={config.run_dir} is not empty and holds no run; name an empty or a new folder")
    return folder


def _fresh_run(config: TrainConfig) -> RunFolder:
    return RunFolder(RUNS / config.task.name / datetime.now().strftime("%Y-%m-%d_%H-%M-%S"), fresh=True)


def _newest_unfinished(config: TrainConfig) -> RunFolder | None:
    for path in sorted((RUNS / config.task.name).glob("*/config.yaml"), reverse=True):
        folder = RunFolder(path.parent)
        with path.open() as file:
            if not folder.results.is_file() and not _differences(folder, config) and _lock(file):
                return folder
    return None


def _continued(folder: RunFolder, config: TrainConfig) -> RunFolder:
    differing = _differences(folder, config)
    if differing:
        raise UserError(
            f"{folder.path} was started with another config; it differs in "
            + ", ".join(f"{key} ({old} there, {new} now)" for key, old, new in differing)
            + ". Give the same options, or no options but resume="
            + str(folder.path)
        )
    return folder


def _differences(folder: RunFolder, config: TrainConfig) -> list[tuple[str, Any, Any]]:
    """Keys whose values differ between a folder's config and this one: (key, value of the folder, value now)."""
    before, now = flatten(read_stored(folder.config)), flatten(mask_values(plain(config)))
    keys = dict.fromkeys([*before, *now])
    return [
        (key, before.get(key), now.get(key))
        for key in keys
        if key not in ("run_dir", "resume")
        and not isinstance(now.get(key), dict)
        and not isinstance(before.get(key), dict)
        and before.get(key) != now.get(key)
    ]


def resume_command(folder: RunFolder) -> str:
    """The command that resumes a run."""
    words, flags = sys.argv[1:], ("--config-dir", "-cd")
    kept = [word for i, word in enumerate(words) if word.startswith(flags) or (i and words[i - 1] in flags)]
    path = str(folder.path)
    if not re.fullmatch(r"[\w./+-]+", path):  # Hydra needs quotes of its own
        path = "'" + path.replace("'", "\\'") + "'"
    return shlex.join([*program(), *kept, f"resume={path}"])

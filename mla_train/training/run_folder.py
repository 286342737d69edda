"""The folder of a run: where it is, and what happens if it exists."""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mla_train.config import TrainConfig
from mla_train.config.stored import check_targets, read_stored
from mla_train.config.typed import flatten, from_dict
from mla_train.errors import UserError, few
from mla_train.locks import is_locked
from mla_train.masking import mask_values
from mla_train.program import program
from mla_train.safe_files import UNFINISHED
from mla_train.training.launched import launched

MOST_SHOWN = 5  # differences between configs

RUNS = Path("runs")
OF_COMMAND = ("run_dir", "resume", "resume_data")
"""Keys that belong to a command, not to the run that it starts or resumes."""
OF_MACHINE = tuple(
    f"hardware.{name}"
    for name in ("devices", "strategy", "workers", "threads", "max_minutes", "activation_checkpointing")
)
"""Keys that may change when a run is resumed: the curve does not depend on them, but for rounding."""
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
        return self.last.is_file()

    @property
    def lock(self) -> Path:
        """Locked by the process that trains the run."""
        return self.path / ".lock"

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def results(self) -> Path:
        """Metrics, baselines and costs."""
        return self.path / "results.json"

    @property
    def is_finished(self) -> bool:
        """Whether there are results, and the process that wrote them was not killed before its report was whole."""
        return self.results.exists() and (not self.lock.exists() or is_locked(self.lock))

    @property
    def checkpoints(self) -> Path:
        """best.ckpt and last.ckpt."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The checkpoint from which the run is resumed."""
        return self.checkpoints / "last.ckpt"

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
        kept = (self.path / "metrics.csv", self.results)
        return not any(file.exists() for file in kept) and not any(self.checkpoints.glob("*.ckpt"))

    def is_empty(self) -> bool:
        """Whether nothing is in the folder but what a killed process left that was about to write its first file."""
        return all(file == self.lock or file.name.startswith(UNFINISHED) for file in self.path.iterdir())


FOLDERS = ("checkpoints", "figures", "model")
FILES = (
    ".lock", "config.yaml", "log.txt", "metrics.csv", "data_splits.csv", "predictions.jsonl", "results.json",
    "checkpoints/*.ckpt", "checkpoints/SHA256SUMS", "model/*.json", "model/*.safetensors", "model/SHA256SUMS",
)  # fmt: skip
"""Names, or patterns of names, of what a run writes."""


def _misplaced(folder: Path) -> list[str]:
    """What lies where a run has a folder or a file, and is none: it would stop the run at its end, or for ever."""
    files = [path for name in FILES for path in (folder.glob(name) if "*" in name else [folder / name])]
    wrong = {path: "regular file" for path in files if not path.is_file()}
    wrong |= {folder / name: "folder" for name in FOLDERS if not (folder / name).is_dir()}
    return [f"{path.relative_to(folder)} is no {kind}" for path, kind in wrong.items() if os.path.lexists(path)]


def plain(config: TrainConfig) -> dict[str, Any]:
    """A config as nested dicts of plain values."""
    return OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)  # type: ignore[return-value]


def is_child() -> bool:
    """Whether another process has chosen the folder."""
    return CHOSEN in os.environ and int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) > 0


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
        check_folder(folder, config)
        return folder
    if config.run_dir is None:
        return _fresh_run(config)
    folder = RunFolder(Path(config.run_dir))
    check_folder(folder, config)
    return folder


def check_folder(folder: RunFolder, config: TrainConfig) -> None:
    """Raises a UserError where a run folder cannot be used: it holds something else, or a run of another config."""
    blocking = next((parent for parent in folder.path.parents if parent.exists() and not parent.is_dir()), None)
    if blocking is not None:
        raise UserError(f"run_dir={folder.path}: {blocking} is a file, not a folder")
    if not folder.path.exists():
        return
    if not folder.path.is_dir():
        raise UserError(f"run_dir={folder.path} is a file; name a folder")
    refuse_links(folder.path)
    if folder.config.is_file():
        misplaced = _misplaced(folder.path)
        if misplaced:
            raise UserError(f"run_dir={folder.path}: {few(misplaced)}: move it away, and the run goes on")
        if config.resume is None and not folder.nothing_done():
            raise UserError(
                f"run_dir={folder.path} holds a run already: add resume=auto to continue it, or name another folder"
            )
        _check_config(folder, config)
    elif not folder.is_empty():
        raise UserError(f"run_dir={folder.path} is not empty and holds no run; name an empty or a new folder")


def refuse_links(folder: Path) -> None:
    """Raises a UserError where a folder of a run or of a study holds links out of it, which would be written through."""
    own, files = folder.resolve(), [*folder.glob("*"), *folder.glob("*/*")]
    links = [
        file.name for file in files if file.is_symlink() and not Path(os.path.realpath(file)).is_relative_to(own)
    ]  # realpath, as resolve raises an error where links lead to each other
    if links:  # W&B's own stay within the folder
        raise UserError(
            f"run_dir={folder} holds links out of it ({few(links)}), which a run does not make and does not write through: "
            "replace them by what they lead to"
        )


def _fresh_run(config: TrainConfig) -> RunFolder:
    path = first = RUNS / config.task.name / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    number = 1
    while path.exists():  # a run of the same second
        number += 1
        path = first.with_name(f"{first.name}_{number}")
    return RunFolder(path, fresh=True)


def _newest_unfinished(config: TrainConfig) -> RunFolder | None:
    for path in sorted((RUNS / config.task.name).glob("*/config.yaml"), reverse=True):
        folder = RunFolder(path.parent)
        try:
            if not folder.is_finished and not _differences(folder, config) and not is_locked(folder.lock):
                return folder
        except UserError as error:
            print(f"not resumed: {error}", file=sys.stderr)
    return None


def _check_config(folder: RunFolder, config: TrainConfig) -> None:
    differing = _differences(folder, config)
    if differing:
        shown = few([f"{key} ({old} there, {new} now)" for key, old, new in _main_first(differing)], MOST_SHOWN)
        raise UserError(
            f"{folder.path} was started with another config: give the same options, or none but resume={folder.path}. It "
            f"differs in {shown}"
        )


def _main_first(differing: list[Any]) -> list[Any]:
    """Differences, those of which others follow in front."""
    main = ["task.name", "data.name"]
    return sorted(differing, key=lambda each: main.index(each[0]) if each[0] in main else len(main))


def require_config(stored: Mapping[str, Any] | None, config: TrainConfig, folder: RunFolder) -> None:
    """Raises a UserError where a checkpoint was trained with other options than those of config.yaml, which has changed since.

    Args:
        stored: Options in the checkpoint, by dotted keys; None in one of an earlier version.
        config: Full config of the run.
        folder: Run folder.
    """
    now = of_run(config)
    differing = [
        f"{key} ({value} there, {now[key]} now)"
        for key, value in (stored or {}).items()
        if key in now and value != now[key]
    ]
    if differing:
        raise UserError(
            f"{folder.config} is not as it was: the checkpoint was trained with another {', '.join(differing)}. Write that "
            "value into it again, or begin anew with another run_dir="
        )


def of_run(config: TrainConfig) -> dict[str, Any]:
    """Options that a curve depends on, by dotted keys, without secrets."""
    options = flatten(mask_values(plain(config)))
    return {
        key: value
        for key, value in options.items()
        if key not in OF_COMMAND and key not in OF_MACHINE and not isinstance(value, dict)
    }


def _differences(folder: RunFolder, config: TrainConfig) -> list[tuple[str, Any, Any]]:
    """Keys whose values differ between a folder's config and this one: (key, value of the folder, value now)."""
    before, now = _stored(folder), flatten(mask_values(plain(config)))
    keys = dict.fromkeys([*before, *now])
    return [
        (key, before.get(key), now.get(key))
        for key in keys
        if key not in OF_COMMAND
        and key not in OF_MACHINE
        and not isinstance(now.get(key), dict)
        and not isinstance(before.get(key), dict)
        and before.get(key) != now.get(key)
    ]


def _stored(folder: RunFolder) -> dict[str, Any]:
    """Options of the run in a folder, by dotted keys; those that its version did not have yet have their defaults."""
    values = read_stored(folder.config)
    defaults: dict[str, Any] = {}
    with suppress(UserError):  # it has options that this version does not know, or code of others
        check_targets(values, folder.config)
        defaults = flatten(plain(from_dict(TrainConfig, values)))
    return defaults | flatten(values)


def quoted(path: Path) -> str:
    """A path as the value of an option; Hydra needs quotes of its own."""
    text = str(path)
    if re.fullmatch(r"(\.{0,2}/)*[A-Za-z_][\w./+-]*", text) and text.lower() not in (
        "null",
        "true",
        "false",
        "nan",
        "inf",
    ):
        return text
    return "'" + re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + (found[2] and "\\'"), text) + "'"


def resume_command(folder: RunFolder) -> str:
    """The command that resumes a run."""
    words, flags = sys.argv[1:], ("--config-dir", "-cd")
    kept = [word for i, word in enumerate(words) if word.startswith(flags) or (i and words[i - 1] in flags)]
    command = shlex.join([*program(), *kept, f"resume={quoted(folder.path)}"])
    return command if launched() is None else f"torchrun ... {command.removeprefix('python ')}"

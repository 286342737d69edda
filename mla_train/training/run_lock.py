"""The lock of a run folder: who holds it decides anew, writes and removes; nobody else does."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from omegaconf import OmegaConf

from mla_train.config import TrainConfig
from mla_train.errors import Interrupted, UserError, printable
from mla_train.locks import holds, lock, owner
from mla_train.masking import mask, mask_command, mask_values
from mla_train.program import program
from mla_train.safe_files import remove_unfinished, write_atomically
from mla_train.training.launched import launched
from mla_train.training.run_folder import CHOSEN, RunFolder, check_folder, find_run, is_child, plain

MADE_FIRST = ("config.yaml", "log.txt", "data_splits.csv", "model", "checkpoints", "figures", "tensorboard", "wandb")
"""Names of what a run makes before its first step."""


@contextmanager
def lock_run(folder: RunFolder, config: TrainConfig) -> Iterator[RunFolder]:
    """Creates a run folder with its config, or opens an existing one, and holds its lock.

    An error removes what was made here, unless a step was logged or a checkpoint written.

    Args:
        folder: Run folder, from `find_run`. Where another process holds it, it is refused if the user named it, and another
            one is found if not.
        config: Full config of the run.

    Raises:
        UserError: Another process trains the run, or the folder has come to hold something else since it was found.
    """
    if is_child():
        yield folder
        return
    with ExitStack() as stack:
        base, number = folder.path, 1
        while not stack.enter_context(_locked(folder)):
            number += 1
            if folder.fresh:
                folder = RunFolder(base.with_name(f"{base.name}_{number}"), fresh=True)
            elif config.run_dir is None and config.resume == "auto":
                folder = find_run(config)
            else:
                raise UserError(
                    f"{folder.path} is being trained by another process ({owner(folder.lock)}); wait for it or stop it"
                )
        folder = RunFolder(folder.path)
        check_folder(folder, config)
        remove_unfinished(folder.path)
        is_new = not folder.config.is_file()
        try:
            if is_new:
                _write_config(folder, config)
            folder.checkpoints.mkdir(exist_ok=True)
            folder.figures.mkdir(exist_ok=True)
            os.environ[CHOSEN] = str(folder.path.resolve())
            if (launch := launched()) is not None:
                launch.announce(folder.path)
            yield folder
        except Interrupted:
            raise
        except BaseException:
            if is_new and folder.nothing_done() and holds(folder.lock):
                _clear(folder)
            raise


def require_owned(folder: RunFolder) -> None:
    """Raises a UserError where the folder was moved while the run went on; another run may have begun in its place."""
    if not is_child() and not holds(folder.lock):
        raise UserError(
            f"{folder.path} was moved or removed while it was trained: this run ends. Continue it where it was moved to, with resume="
        )


@contextmanager
def _locked(folder: RunFolder) -> Iterator[bool]:
    """Creates a folder and locks it; yields whether it was free. The folder is removed at the end if it is empty and new."""
    is_new, is_free, tries = not folder.path.exists(), None, 100
    try:
        with ExitStack() as stack:
            while is_free is None:
                try:
                    folder.path.mkdir(parents=True, exist_ok=not folder.fresh)
                    is_free = stack.enter_context(lock(folder.lock))
                except FileNotFoundError:  # another process that failed has just removed the folder
                    tries -= 1
                    if not tries:
                        raise
                except FileExistsError:
                    if not folder.fresh:
                        raise
                    is_free = False
            yield is_free
    finally:
        if is_new and is_free is not False:
            with suppress(OSError):  # it is not empty: a run
                folder.path.rmdir()


def _write_config(folder: RunFolder, config: TrainConfig) -> None:
    words = mask_command([*program(), *sys.argv[1:]])
    command = (
        f"# {printable(' '.join(words.splitlines()))}\n"  # YAML has no control characters, and ends lines at more signs
    )
    values = OmegaConf.to_yaml(OmegaConf.create(mask_values(plain(config))))
    write_atomically(folder.config, command + mask(values))


def _clear(folder: RunFolder) -> None:
    """Removes what a run makes before its first step; not what somebody else has put into the folder since."""
    for name in MADE_FIRST:
        file = folder.path / name
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)
    remove_unfinished(folder.path)

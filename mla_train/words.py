"""Words of a command line: the folder that they add, what they compose to, which of them is wrong."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mla_train.compose import Choices, check_overrides, explain, flatten, parse_overrides, typed
from mla_train.config import TrainConfig
from mla_train.errors import UserError

NO_CHOICE = "a choice is missing: task=, data= and the other groups each need the name of a choice"


def added_folder(words: Sequence[str]) -> Path | None:
    """The folder of --config-dir, with tasks and data sets of one's own.

    Raises:
        UserError: There is no such folder, or a flag is unknown.
    """
    arguments, unknown = get_args_parser().parse_known_args(words)
    if unknown and not unknown[0].startswith("-"):
        raise UserError(
            f"{unknown[0]} is cut off by a flag from the words before it: write flags such as --config-dir first"
        )
    if unknown:
        raise UserError(f"unknown flag {unknown[0]}; options are written key=value, and --help lists them")
    if not arguments.config_dir:
        return None
    folder = Path(arguments.config_dir).resolve()
    if not folder.is_dir():
        raise UserError(f"--config-dir {arguments.config_dir}: there is no such folder")
    return folder


def extend_import_path(words: Sequence[str]) -> None:
    """Lets tasks and data sets of one's own be imported from the folder of --config-dir.

    Raises:
        UserError: There is no such folder, or a flag is unknown.
    """
    folder = added_folder(words)
    if folder is not None:
        sys.path.insert(0, str(folder))


def compose_words(config_dir: Path, words: Sequence[str], known: Iterable[str] = ()) -> TrainConfig:
    """The checked config of one run.

    Args:
        config_dir: The folder conf/.
        words: Of a command line of train.py, none of them a sweep.
        known: Keys of the calling command, to be thought of where a key is misspelled.

    Raises:
        UserError: A word is wrong, or words do not fit each other.
    """
    arguments = get_args_parser().parse_args(words)
    parse_overrides(arguments.overrides)
    try:
        with hydra.initialize_config_dir(str(config_dir), version_base="1.3"):
            composed = hydra.compose("train", arguments.overrides + _search_path(added_folder(words)))
        return typed(composed)
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        raise UserError(NO_CHOICE) from None
    except HydraException as error:
        name_the_wrong_word(config_dir, words, known)
        raise UserError(explain(error)) from error
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from error


def name_the_wrong_word(config_dir: Path, words: Sequence[str], known: Iterable[str] = ()) -> None:
    """Finds what is misspelled, after Hydra has said only that something is not there.

    Args:
        config_dir: The folder conf/.
        words: Of the command line.
        known: See `compose_words`.

    Raises:
        UserError: Names the word and the nearest right one.
    """
    arguments = get_args_parser().parse_args(words)
    added = added_folder(words)
    choices = Choices([config_dir, *([added] if added else [])])
    overrides = parse_overrides(arguments.overrides)
    chosen = [o.input_line for o in overrides if o.key_or_group in choices.groups and o.input_line]
    check_overrides(chosen, choices, set())
    plain = [o.input_line for o in parse_overrides(chosen) if o.input_line and not o.is_sweep_override()]
    with hydra.initialize_config_dir(str(config_dir), version_base="1.3"):
        config = hydra.compose("train", plain + _search_path(added))
    check_overrides(arguments.overrides, choices, {*flatten(OmegaConf.to_container(config)), *known})


def _search_path(added: Path | None) -> list[str]:
    return [f"hydra.searchpath=[file://{added}]"] if added else []

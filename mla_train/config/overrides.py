"""Overrides, the `key=value` words of a command line: what they compose to, and which of them is wrong. No torch here."""

import importlib.util
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mla_train.config.compose import explain_error, to_typed_config
from mla_train.config.run import TrainConfig
from mla_train.config.stored import trust
from mla_train.config.typed import TARGETS, flatten, options_class
from mla_train.errors import UserError, did_you_mean, few, require
from mla_train.program import program

LAUNCHERS = {"slurm": "hydra_plugins.hydra_submitit_launcher", "ray": "hydra_plugins.hydra_ray_launcher"}
"""Choices of hydra/launcher and the package that each needs, an extra of the same name."""
RENAMED = {
    "checkpoint.minutes": "checkpoint.every_minutes",
    "hardware.accumulate": "hardware.accumulate_grad_batches",
    "task.halvings": "task.downsample_log2",
    "task.alone": "task.unimodal_loss_weight",
    "task.term_dim": "task.tfidf_dim",
    "task.linear": "task.ridge",
    "task.residual": "task.use_encoder",
    "data.terms": "data.tfidf_features",
}
"""Earlier names of options."""


def compose_overrides(config_dir: Path, words: Sequence[str], known: Iterable[str] = ()) -> TrainConfig:
    """Composes and checks the config of one run.

    Args:
        config_dir: The folder conf/.
        words: Command line of train.py without sweeps.
        known: Keys of the calling command, to be suggested where a key is misspelled.

    Raises:
        UserError: A word is wrong, or options do not fit each other.
    """
    overrides = get_args_parser().parse_args(words).overrides
    parse_overrides(overrides)
    with clear_errors(config_dir, words, known):
        return to_typed_config(_compose(config_dir, words, overrides))


@contextmanager
def clear_errors(config_dir: Path, words: Sequence[str], known: Iterable[str] = ()) -> Iterator[None]:
    """Raises errors of Hydra and OmegaConf as UserErrors that name the wrong word; see `compose_overrides`."""
    _check_chosen(config_dir, words)
    try:
        yield
    except OmegaConfBaseException as error:
        raise UserError(explain_error(error)) from error
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        raise UserError(
            "a choice is missing: task=, data= and the other groups each need the name of a choice"
        ) from None
    except (HydraException, RuntimeError) as error:
        if not isinstance(error, HydraException) and "Unknown plugin" not in str(error):
            raise
        _explain_bad_override(config_dir, words, known)
        raise UserError(explain_error(error)) from error


def _check_chosen(config_dir: Path, words: Sequence[str]) -> None:
    """Looks for choices of groups that do not exist, some of which Hydra answers with errors of other kinds."""
    choices = find_choices(config_folders(config_dir, words))
    for override in parse_overrides(get_args_parser().parse_args(words).overrides):
        key = override.key_or_group
        require(key != "sweep", f"sweep= belongs to another command: {' '.join(program('sweep'))} sweep=default")
        for name in _chosen_names(override) if key in choices and not override.is_delete() else ():
            if name not in choices[key]:
                hint = did_you_mean(name, choices[key])
                raise UserError(
                    f"{key}={name[:100]}: there is no such {key}. {hint}"
                    + (
                        f" All: {', '.join(sorted(choices[key]))}."
                        if "Choose" not in hint and len(choices[key]) > 1
                        else ""
                    )
                )


def _explain_bad_override(config_dir: Path, words: Sequence[str], known: Iterable[str]) -> None:
    """Finds the misspelled word, after Hydra has said only that something does not exist."""
    words_of_config = get_args_parser().parse_args(words).overrides
    choices = find_choices(config_folders(config_dir, words))
    overrides = parse_overrides(words_of_config)
    chosen = [o.input_line for o in overrides if o.key_or_group in choices and o.input_line]
    plain = [o.input_line for o in parse_overrides(chosen) if o.input_line and not o.is_sweep_override()]
    try:
        config = OmegaConf.to_container(_compose(config_dir, words, plain))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain_error(error)) from error
    keys = {*flatten(config), *known}  # type: ignore[arg-type]
    for key in (override.key_or_group for override in overrides):
        if key not in keys and (owners := owners_of(config_folders(config_dir, words), key)):
            node = key.partition(".")[0]
            own = sorted(name.split(".")[1] for name in keys if name.startswith(f"{node}.") and "_target_" not in name)
            raise UserError(
                f"unknown key {key}: it is an option of {listed_owners(key, owners)}; those of {node} here: {', '.join(own)}"
            )
    check_overrides(words_of_config, choices, keys)


def _compose(config_dir: Path, words: Sequence[str], overrides: list[str]) -> DictConfig:
    """Hydra's config for overrides; tasks and data sets may be in the folder that --config-dir among the words names."""
    folder = config_dir_argument(words)
    search_path = [f"hydra.searchpath=[file://{folder}]"] if folder else []
    with hydra.initialize_config_dir(str(config_dir), version_base="1.3"):
        return hydra.compose("train", overrides + search_path)


def config_folders(config_dir: Path, words: Sequence[str]) -> list[Path]:
    """The folder conf/, that of --config-dir, and those of hydra.searchpath."""
    folder = config_dir_argument(words)
    listed = re.findall(r"file://([^],'\"]+)", " ".join(word for word in words if word.startswith("hydra.searchpath=")))
    return [config_dir, *([folder] if folder else []), *(path for path in map(Path, listed) if path.is_dir())]


def find_choices(folders: Iterable[Path]) -> dict[str, set[str]]:
    """Names of the choices of each group in some folders."""
    choices: dict[str, set[str]] = {}
    for folder in folders:
        for group in (path for path in folder.iterdir() if path.is_dir() and path.name != "hydra"):
            names = {file.relative_to(group).with_suffix("").as_posix() for file in group.rglob("*.yaml")}
            if names:
                choices.setdefault(group.name, set()).update(names)
    return choices


def owners_of(folders: Iterable[Path], key: str) -> dict[str, type]:
    """Choices of `task` or `data` that have a key as `data.look_back`, and the dataclass of their options."""
    node, _, name = key.partition(".")
    owners = {}
    for file in (
        sorted(file for folder in folders for file in (folder / node).glob("*.yaml")) if node in TARGETS else ()
    ):
        with suppress(UserError, OmegaConfBaseException, OSError):
            values: Any = OmegaConf.load(file)
            options = options_class((values.get(node) or values).get("_target_"), node)
            if name in {field.name for field in fields(options)}:
                owners[file.stem] = options
    return owners


def listed_owners(key: str, owners: Iterable[str]) -> str:
    """The first choices that have a key, as words of a command line."""
    return few([f"{key.partition('.')[0]}={name}" for name in owners])


def check_overrides(overrides: list[str], choices: dict[str, set[str]], keys: set[str]) -> None:
    """Looks for misspelled keys and choices of groups; `keys` are those of the composed config, nested ones with dots.

    Raises:
        UserError: Names the word and the nearest right one.
    """
    for override in parse_overrides(overrides):
        key = override.key_or_group
        if key == "hydra/launcher":
            plugin = LAUNCHERS.get(str(override.value()))
            require(
                plugin is None or importlib.util.find_spec(plugin) is not None,
                f"{override.input_line} needs a package that is not installed: pip install -e '.[{override.value()}]'",
            )
        if override.is_delete() or override.is_add() or key.startswith(("hydra.", "hydra/", "trainer.")):
            continue
        if key not in choices and key not in keys:
            raise UserError(f"unknown key {key}. {_nearest_key(key, keys | choices.keys())}")


def quote_signs(words: Sequence[str]) -> list[str]:
    """Words of a command line, in which a value of one sign is quoted as Hydra wants: the shell took its quotes away."""

    def quoted(match: re.Match[str]) -> str:
        key, sign = match.groups()
        return f'{key}"{sign}"' if sign == "'" else f"{key}'{sign}'"

    return [re.sub(r"^([\w.+]+=)(\W)$", quoted, word) for word in words]


def parse_overrides(overrides: list[str]) -> list[Override]:
    """Reads `key=value` words by Hydra's grammar."""
    parser = OverridesParser.create()
    parsed = []
    for word in overrides:
        try:
            parsed.append(parser.parse_override(word))
        except HydraException:
            hint = "options are written key=value, such as epochs=10; quote values with spaces, brackets and the like, twice: "
            hint += "'key=\"a (b)\"', 'key=[\"a (b)\",c]'"
            raise UserError(f"cannot read '{word}': {hint}") from None
    return parsed


def config_dir_argument(words: Sequence[str]) -> Path | None:
    """The folder of --config-dir, which has tasks and data sets outside the project.

    Raises:
        UserError: The folder does not exist, or a flag is unknown.
    """
    arguments, unknown = get_args_parser().parse_known_args(words)
    if unknown and not unknown[0].startswith("-"):
        raise UserError(
            f"{unknown[0]} is separated by a flag from the words before it: write flags such as --config-dir first"
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
    """Trusts the folder of --config-dir: its tasks can be imported."""
    folder = config_dir_argument(words)
    if folder is not None:
        trust(folder)


def _chosen_names(override: Override) -> list[str]:
    """Choices of a group that a word names: one, a list, or a sweep over either."""
    values = override.value()
    if isinstance(values, ChoiceSweep):
        values = values.list
    elif override.is_sweep_override():  # such as glob(*)
        return []
    values = values if isinstance(values, list) else [values]
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [str(item) for item in flat if item is not None]


def _nearest_key(key: str, keys: set[str]) -> str:
    """Hint for an unknown key: its new name, the same name elsewhere, a similar one beside it, a similar one anywhere."""
    if RENAMED.get(key) in keys:
        return f"Did you mean {RENAMED[key]}?"
    parents = {known.rpartition(".")[0] for known in keys}
    leaves = keys - parents  # single values, not groups of them
    parent, _, leaf = key.rpartition(".")
    elsewhere = sorted(known for known in leaves if known.rpartition(".")[2] == leaf)
    if elsewhere:
        return f"Did you mean {' or '.join(elsewhere[:3])}?"
    beside = {known.rpartition(".")[2] for known in leaves if known.rpartition(".")[0] == parent}
    if parent in parents and parent:
        return did_you_mean(leaf, {name for name in beside if not name.startswith("_")}, f"{parent}.")
    close_groups = get_close_matches(key, parents - {""}, n=1, cutoff=0.75)
    if close_groups:
        return f"Did you mean {close_groups[0]}?"
    return did_you_mean(key, leaves if get_close_matches(key, leaves) else beside | parents - {""})

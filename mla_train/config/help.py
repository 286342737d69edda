"""`train.py --help`: choices and options as they are with the words given; the docstrings of dataclasses are the help."""

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

from mla_train.config.overrides import listed_owners, owners_of
from mla_train.config.run import TrainConfig
from mla_train.errors import UserError, did_you_mean

HEADER = """\
Trains an attention model on a task and writes a run folder: metrics beside baselines, model, figures.

  python train.py                                           digits, in a few minutes
  python train.py data=image_folder data.root=my/images     your own images
  python train.py task=text_classification                  languages of texts, in a few minutes
  python train.py attention=mha encoder=tiny epochs=10      other choices
  python train.py run_dir=runs/mine resume=auto             continue an interrupted run
"""
FOOTER = """\
More: --help-all lists all options, --help KEY explains one (--help attention.pattern) or a group (--help data),
--config-dir FOLDER adds your own tasks and choices, -m runs all combinations of a,b lists,
--cfg job shows the composed config, --hydra-help the flags of Hydra, such as shell completion.
"""
COMMON = (
    "epochs", "batch_size", "lr", "seed", "test", "run_dir", "resume", "encoder.dim", "encoder.depth",
    "regularization.dropout", "regularization.augmentation", "hardware.threads",
)  # fmt: skip
WIDTH, COLUMN = 120, 44


def help_text(config: TrainConfig, groups: dict[str, set[str]], everything: bool = False) -> str:
    """The help on one screen, or with every option.

    Args:
        config: Composed config, whose values are shown.
        groups: Names of choices by group.
        everything: Whether every option is listed instead of the common ones.
    """
    lines = [HEADER, "Choices (name=choice; regularization and logger also take lists, 'logger=[csv,wandb]'):", ""]
    for group, names in sorted(groups.items()):
        if group != "sweep":
            if not everything:
                names = {f"{name.partition('/')[0]}/*" if "/" in name else name for name in names}
            lines += textwrap.wrap(f"{group}: {', '.join(sorted(names))}", WIDTH, subsequent_indent="  ")
    options = dict(option_lines(config))
    if not everything:
        lines += ["", "Common options (key=value), with their values for the choices given:"]
        return "\n".join([*lines, *(line for key in COMMON for line in options[key]), "", FOOTER])
    lines += ["", "Options (key=value), with their values for the choices given:"]
    group = ""
    for key, texts in options.items():
        if key.partition(".")[0] != group and "." in key:
            group = key.partition(".")[0]
            title = (inspect.getdoc(type(getattr(config, group))) or "").partition("\n")[0]
            lines += ["", f"{group}: {title}"]
        lines += texts
    return "\n".join([*lines, "", FOOTER])


def help_of(config: TrainConfig, key: str, folders: Iterable[Path] = ()) -> str:
    """The lines of one option, or of those of a group.

    Args:
        config: Composed config, whose values are shown.
        key: Option or group.
        folders: Folders of choices, some of which may have an option that the config lacks.

    Raises:
        UserError: There is no such key.
    """
    options = dict(option_lines(config))
    lines = [line for name, texts in options.items() if f"{name}.".startswith(f"{key}.") for line in texts]
    if not lines and (owners := owners_of(folders, key)):
        node, _, name = key.partition(".")
        texts = dict(_section(f"{node}.", [name], next(iter(owners.values()))()))
        return "\n".join(
            [f"An option of {listed_owners(key, owners)}:", *(line for each in texts.values() for line in each)]
        )
    if not lines:
        groups = {name[:place] for name in options for place, sign in enumerate(name) if sign == "."}
        raise UserError(f"--help {key}: there is no such key. {did_you_mean(key, {*options, *groups})}")
    return "\n".join(lines)


def option_lines(config: TrainConfig) -> Iterator[tuple[str, list[str]]]:
    """Each key and its lines of help; plain keys come before those of groups."""
    plain = [field.name for field in fields(config) if not is_dataclass(getattr(config, field.name))]
    yield from _section("", plain, config)
    for field in fields(config):
        options = getattr(config, field.name)
        if is_dataclass(options):
            yield from _section(f"{field.name}.", [each.name for each in fields(options)], options)


def option_help(cls: type) -> dict[str, str]:
    """The line of each option in the docstring of its dataclass; those of base classes are inherited."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        name = ""
        for line in attributes.splitlines():
            start = re.match(r"    (\w+): (.*)", line)
            if start:
                name, found[start[1]] = start[1], start[2]
            elif name and line.startswith(" " * 8):
                found[name] += f" {line.strip()}"
    return found


def _section(prefix: str, names: list[str], options: Any) -> Iterator[tuple[str, list[str]]]:
    """Keys and lines of the options of one dataclass, nested ones included."""
    texts, types = option_help(type(options)), get_type_hints(type(options))
    for name in names:
        value = getattr(options, name)
        if name.startswith("_"):
            continue
        if is_dataclass(value):
            yield from _section(f"{prefix}{name}.", [field.name for field in fields(value)], value)
            continue
        text = texts.get(name, "")
        for kind in (types[name], *get_args(types[name])):  # an enum, or one beside None
            if isinstance(kind, type) and issubclass(kind, Enum):
                text = f"{text} [{', '.join(kind.__members__)}]"
        left = f"  {prefix}{name}={_plain(value)}"
        first = [left] if len(left) > COLUMN - 2 else []
        body = textwrap.wrap(text, WIDTH - COLUMN)
        if not first:
            first = [left.ljust(COLUMN) + (body.pop(0) if body else "")]
        yield f"{prefix}{name}", [line.rstrip() for line in first + [" " * COLUMN + line for line in body]]


def _plain(value: Any) -> str:
    """A value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, list):
        return f"[{','.join(map(_plain, value))}]"
    return str(value)

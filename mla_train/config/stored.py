"""Configs that lie in a run or model folder. They may come from a stranger, so they are data: no code is named or run."""

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mla_train.errors import UserError, few
from mla_train.program import PACKAGE

LARGEST = 2_000_000  # bytes of a config
LARGEST_JSON = 50_000_000  # bytes of results, or of a spec with its vocabulary
LONG_TIME = re.compile(r"[\d:_.+-]{60,}")  # reading it as a number of base 60 takes long
_folders = [PACKAGE, PACKAGE.parent / "tasks"]  # whose tasks a stored config may name


def trust(folder: str | Path) -> None:
    """Lets stored configs name tasks of a folder of the user's, puts it first on the import path, and says that its code runs.

    Raises:
        UserError: There is no such folder.
    """
    path = Path(folder).resolve()
    if not path.is_dir():
        raise UserError(f"--config-dir {folder}: there is no such folder")
    if path not in _folders:
        _folders.append(path)
        if modules := sorted(str(file.relative_to(path)) for file in [*path.glob("*.py"), *path.glob("*/*.py")]):
            print(f"note: the code in {folder} runs: {few(modules)}", file=sys.stderr, flush=True)
    if sys.path[:1] != [str(path)]:
        sys.path.insert(0, str(path))


def read_stored(file: Path) -> dict[str, Any]:
    """Values of a YAML or JSON file that a run, sweep or comparison has left.

    Raises:
        UserError: It cannot be read, is no mapping, or holds more than values: tags, interpolations, aliases.
    """
    try:
        values = read_json(file, LARGEST) if file.suffix == ".json" else _plain_yaml(read_text(file, LARGEST))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{file} cannot be read: it holds no options of a run")
    seen: set[int] = set()
    for key, value in _leaves(values, "", seen, file):
        if isinstance(value, str) and "${" in value:
            raise UserError(
                f"{file}: {key} is an interpolation, ${{...}}, and a stored config has plain values: write the value"
            )
    return values


def read_json(file: Path, largest: int = LARGEST_JSON) -> Any:
    """Content of a JSON file of a stranger, see `read_text`.

    Raises:
        OSError: There is none.
        ValueError: It is no JSON, or nested too deep.
    """
    try:
        return json.loads(read_text(file, largest))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def read_text(file: Path, largest: int) -> str:
    """Text of a file of a stranger, which may be a link to what has no end.

    Raises:
        OSError: There is none.
        ValueError: It is no regular file, has more bytes than the largest, or is no text.
    """
    if file.exists() and not file.is_file():  # a pipe would wait for a writer
        raise ValueError("it is no regular file")
    with file.open("rb") as stream:
        content = stream.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"it is larger than {largest:,} bytes")
    return content.decode("utf-8")


def _plain_yaml(text: str) -> Any:
    """Values of a YAML text without aliases, which can stand for gigabytes, and without numbers such as 1:30:00.

    Raises:
        ValueError: It has one of these.
        yaml.YAMLError: It is no YAML.
    """
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has an alias, and a stored config has plain values: write the value")
        if isinstance(event, yaml.ScalarEvent) and event.style is None and LONG_TIME.fullmatch(event.value):
            raise ValueError("it has a number with too many colons")
    return yaml.safe_load(text)


def check_targets(values: dict[str, Any], file: Path) -> None:
    """Checks that a stored config names code of the project only, or of a folder that was given to `trust`.

    Raises:
        UserError: It names something else, which is not imported.
    """
    for key, value in _leaves(values, "", set(), file):
        if key.rpartition(".")[2] == "_target_" and not _is_trusted(str(value).partition(".")[0]):
            raise UserError(
                f"{file}: {key}={value} names code that is not of this project, and is not imported. If you trust its folder, "
                "give it with --config-dir FOLDER, or mla_train.load(..., trust=FOLDER)"
                + (", or resume with all options and run_dir=... resume=auto" if key.startswith("trainer.") else "")
            )


def _is_trusted(package: str) -> bool:
    """Whether a package or module lies in a trusted folder; it is found without being imported."""
    try:
        spec = importlib.util.find_spec(package) if package else None
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    locations = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or [])
    places = [Path(place).resolve() for place in locations if place]
    return bool(places) and all(any(place.is_relative_to(folder) for folder in _folders) for place in places)


def _leaves(value: Any, key: str, seen: set[int], file: Path) -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values. Containers that occur twice are refused: nested aliases would grow without end."""
    if not isinstance(value, dict | list):
        yield key, value
        return
    if id(value) in seen:
        raise UserError(f"{file}: {key} is an alias, and a stored config has plain values: write the value")
    seen.add(id(value))
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(each, f"{key}.{name}" if key else str(name), seen, file)

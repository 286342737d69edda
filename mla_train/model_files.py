"""The files of a trained model: where they are, and whether they are whole. No torch here: a wrong path is answered before."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

from mla_train.config import InitPart, TrainConfig
from mla_train.config.stored import read_json
from mla_train.errors import UserError, require
from mla_train.hub import download, is_repository
from mla_train.safe_files import CHECKSUMS, is_whole

WEIGHTS, SPEC, CONFIG = "model.safetensors", "spec.json", "config.json"


def find_model(path: str | Path, names: Sequence[str] = (WEIGHTS, SPEC, CONFIG)) -> Path:
    """The folder of the files of a model, downloaded if need be and checked.

    Args:
        path: As `load_model` takes it.
        names: Files that are needed.
    """
    root = Path(path)
    if isinstance(path, str) and is_repository(path):
        root = download(path, [WEIGHTS, SPEC, CONFIG, CHECKSUMS])
    require(root.exists(), f"{path} holds no finished model: there is no such folder ({root.resolve()})")
    folder = root / "model" if (root / "model" / WEIGHTS).is_file() else root
    for name in names:
        if not (folder / name).is_file():
            remedy = ""
            if (root / "results.json").exists():
                remedy = f": remove {root / 'results.json'} and write it again with resume={root}"
            elif (root / "config.yaml").is_file():
                remedy = f": the run is not finished, continue it with resume={root}"
            raise UserError(f"{path} holds no finished model ({folder / name} is missing){remedy}")
        if not is_whole(folder / name):
            raise UserError(
                f"{folder / name} is damaged or was changed: its checksum is not the one in {CHECKSUMS}. Restore the file, or "
                f"accept it as it is by removing {folder / CHECKSUMS}"
            )
    return folder


def find_source(key: str, path: str, names: Sequence[str] = (WEIGHTS, SPEC, CONFIG)) -> Path:
    """The folder of a model that an option names; see `find_model`.

    Args:
        key: The option.
        path: What it names.
        names: Files that are needed.

    Raises:
        UserError: Names the option, and what it takes.
    """
    try:
        return find_model(path, names)
    except UserError as error:
        remedy = (
            ""
            if "resume=" in str(error) or "Restore" in str(error)
            else ". Name a run folder or a model folder; to resume a run, put it back"
        )
        raise UserError(f"{key}={path}: {error}{remedy}") from error


def independent(config: TrainConfig, folder: Path) -> TrainConfig:
    """A config that takes what another run gave, such as a vocabulary, from the run's own model: the other may be gone."""
    config = replace(config, data=copy(config.data), init=copy(config.init))
    for options, key in ((config.data, "tokenizer"), (config.init, "from")):
        if getattr(options, key, None) is not None:
            setattr(options, key, str(folder))
    return config


def is_deepseek(path: str | Path) -> bool:
    """Whether a folder holds a checkpoint of the DeepSeek family, as transformers writes it."""
    file = Path(path) / CONFIG
    if not file.is_file() or (Path(path) / SPEC).exists():
        return False
    try:
        config = read_json(file)
    except ValueError as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    return isinstance(kind, str) and kind.startswith("deepseek_v")


def check_models(config: TrainConfig) -> None:
    """Looks for the models that a run starts from, before torch is loaded; see `find_source`."""
    for key, path in (("init.from", config.init.source), ("data.tokenizer", getattr(config.data, "tokenizer", None))):
        if path is not None and key == "init.from" and is_deepseek(path):
            require(
                config.init.parts == [InitPart.encoder],
                f"init.from={path} is a DeepSeek checkpoint, of which the encoder alone is taken: add init.parts=[encoder]",
            )
        elif path is not None:
            find_source(key, path)

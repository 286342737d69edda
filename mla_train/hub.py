"""Models on the Hugging Face Hub: downloaded without running code from them, and uploaded."""

import re
from collections.abc import Sequence
from pathlib import Path

from mla_train.errors import UserError


def is_repository(name: str) -> bool:
    """Whether a name looks like `user/model` and no folder of this computer is meant."""
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name)) and not Path(name).parent.exists()


def download(repository: str, files: Sequence[str]) -> Path:
    """Folder with some files of a repository, which are kept in the cache of the Hub's library.

    Raises:
        UserError: There is no such repository, or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=list(files)))
    except Exception as error:  # of the network, the Hub or a cache without the files
        raise UserError(
            f"{repository} is no folder here, and cannot be loaded from the Hugging Face Hub: {_first_line(error)}"
        ) from error


def check_login() -> None:
    """Raises UserError where nobody is logged in to the Hugging Face Hub."""
    from huggingface_hub import HfApi

    try:
        HfApi().whoami()
    except Exception as error:  # there is no token, it is not valid, or there is no network
        raise UserError(
            f"--push needs a login to the Hugging Face Hub: run `hf auth login` ({_first_line(error)})"
        ) from error


def upload(folder: Path, repository: str) -> str:
    """Uploads a folder to a repository, which is created as a private one if it does not exist, and returns its address.

    Raises:
        UserError: The Hub refuses it.
    """
    from huggingface_hub import HfApi

    try:
        hub = HfApi()
        address = hub.create_repo(repository, private=True, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="Model exported by mla-train")
    except Exception as error:  # of the network or the Hub
        raise UserError(f"{folder} cannot be uploaded to {repository}: {_first_line(error)}") from error
    return str(address)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

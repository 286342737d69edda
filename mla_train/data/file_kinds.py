"""Kinds of files that are examples: images and recordings, in folders and in tables."""

from collections.abc import Callable
from dataclasses import dataclass

from mla_train.data.image_files import image_endings


@dataclass(frozen=True)
class FileKind:
    """What differs between kinds of files.

    Attributes:
        input: Name of the input that they are, which is also that of its modality.
        name: Name of one, for messages.
        example: Name of a file, for messages.
        endings: Function that gives the endings of such files, such as `.png`.
    """

    input: str
    name: str
    example: str
    endings: Callable[[], frozenset[str]]


IMAGES = FileKind("image", "image", "image.png", image_endings)
RECORDINGS = FileKind(
    "audio",
    "recording",
    "recording.wav",
    lambda: frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"}),
)
FILE_KINDS = {kind.input: kind for kind in (IMAGES, RECORDINGS)}
"""Kinds of files by the names of their inputs."""

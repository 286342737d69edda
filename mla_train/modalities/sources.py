"""Files of images and recordings, as paths or as bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mla_train.data.cache import stamp
from mla_train.data.packed import most_bytes

Source = Path | bytes
"""A file, or the bytes of one."""


def as_source(value: Any) -> Source | None:
    """A raw value (a path, bytes, or `{"bytes", "path"}` of the hub) as a source; None where it is neither."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str):
        return Path(value) if value else None
    return value if isinstance(value, Path | bytes) and value else None


def stamps_of(sources: Sequence[Source | None]) -> str:
    """What files may unpack to, and the stamp of each file, in one text: to compare many pieces takes long."""
    stamps = (stamp(source) if isinstance(source, Path) else "" for source in sources)
    return "\n".join([str(most_bytes()), *stamps])

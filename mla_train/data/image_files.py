"""Images and recordings in folders as people keep them: among hidden files, thumbnails of programs, and files of other kinds."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mla_train.errors import UserError

# Formats of pixels: the others of Pillow are drawn by programs such as Ghostscript, or hold no image.
FORMATS = {
    "AVIF", "BMP", "DDS", "DIB", "FITS", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MSP", "PCX", "PNG", "PPM", "PSD",
    "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM",
}  # fmt: skip
HIDDEN = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "thumbs.db", "desktop.ini"}
"""Names, in lower case, of what systems and programs put beside files."""
THUMBNAILS = re.compile(r"[\W_]*(thumbs?|thumb[\W_]?nails?)[\W_]*", re.IGNORECASE)
"""Names of folders of small copies of images."""
THUMBNAIL = re.compile(
    r"(?P<before>.*)[\W_](thumbs?|thumb[\W_]?nails?)|(thumbs?|thumb[\W_]?nails?)[\W_](?P<after>.*)", re.IGNORECASE
)
"""Names, without ending, of small copies of images."""


@dataclass
class LeftOut:
    """Files and folders that are not read.

    Attributes:
        name: Name of what is read.
        hidden: Files that are hidden, or in a hidden folder.
        thumbnails: Small copies of images.
        others: Files of other kinds by their endings.
        strays: Images or recordings beside the class folders.
        folders: Folders that are no classes: without such files, or beside the splits.
    """

    name: str = "image"
    hidden: list[Path] = field(default_factory=list)
    thumbnails: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)

    def notes(self, root: Path) -> list[str]:
        """Lines for the user; paths are relative to the root."""
        endings = Counter(file.suffix.lower() or "without ending" for file in self.others).most_common()
        counts = ", ".join(f"{count:,} {ending}" for ending, count in endings)
        names = ", ".join(shown(folder, root) for folder in self.folders)
        lines = {
            f"{len(self.hidden):,} hidden files": _first(self.hidden, root),
            f"{len(self.thumbnails):,} thumbnails": _first(self.thumbnails, root),
            f"{len(self.others):,} files that are no {self.name}s": counts,
            f"{len(self.strays):,} {self.name}s beside the class folders": _first(self.strays, root),
            f"{len(self.folders):,} folders without a class": names,
        }
        return [f"left out {what}: {which}" for what, which in lines.items() if which]


def _first(files: list[Path], root: Path) -> str:
    return ", ".join(shown(file, root) for file in files[:2]) + (", ..." if len(files) > 2 else "")


@cache
def image_endings() -> frozenset[str]:
    """Endings of files that may be images, such as `.png`."""
    from PIL import Image  # tables need none

    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in {*FORMATS, "MPO"})


def shown(path: Path, root: Path) -> str:
    """A path, relative to the root where it lies in it."""
    return str(path).removeprefix(os.path.join(root, ""))


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is the work of a system or a program."""
    return name.startswith(".") or name.lower() in HIDDEN


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder. Links to folders are followed, each folder is entered once.

    Raises:
        UserError: A folder cannot be read.
    """

    def stop(error: OSError) -> None:
        raise UserError(f"{error.filename}: this folder cannot be read: {error.strerror}")

    # A link to a folder above would bring the images of other classes.
    known = {_identity(above) for above in (*folder.absolute().parents, *folder.resolve().parents)}
    for here, folders, names in os.walk(folder, followlinks=True, onerror=stop):
        identity = _identity(here)
        if identity in known:
            folders.clear()
            continue
        known.add(identity)
        folders.sort()
        yield from (Path(here, name) for name in names)


def note_links(files: Iterable[Path], root: Path, notes: list[str]) -> None:
    """Notes files of a data set that are, by links, files outside of its folder."""
    whole, folders = os.path.join(os.path.realpath(root), ""), dict[str, str]()
    outside = []
    for file in files:
        above, name = os.path.split(file)
        if above not in folders:
            folders[above] = os.path.realpath(above)
        actual = os.path.realpath(file) if os.path.islink(file) else os.path.join(folders[above], name)
        if not actual.startswith(whole):
            outside.append(f"{shown(file, root)} is {actual}")
    if outside:
        notes.append(f"{len(outside):,} files of {root} are links to files outside of it, the first: {outside[0]}")


def _identity(folder: Path | str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def choose_files(paths: Iterable[Path], folder: Path, endings: Set[str], left_out: LeftOut) -> list[Path]:
    """The files of some endings below a folder, in order; the other files are added to what is left out."""
    images = []
    # As text: to compare and cut tens of thousands of `Path` takes many times as long.
    for parts, path in sorted((shown(path, folder).split(os.sep), path) for path in paths):
        if any(map(is_hidden, parts)):
            left_out.hidden.append(path)
        elif _is_image(parts[-1], endings):
            images.append(path)
        else:
            left_out.others.append(path)
    return images


def holds_files(path: Path, endings: Set[str]) -> bool:
    """Whether a file has one of some endings, or a folder holds one that has."""
    files = (shown(file, path).split(os.sep) for file in files_below(path)) if path.is_dir() else [[path.name]]
    return any(_is_image(parts[-1], endings) and not any(map(is_hidden, parts)) for parts in files)


def _is_image(name: str, endings: Set[str]) -> bool:
    return os.path.splitext(name)[1].lower() in endings


def without_thumbnails(images: list[Path], folder: Path, left_out: LeftOut) -> list[Path]:
    """Images below a folder without the small copies that programs make of them.

    A copy lies in a folder of such a name, or beside the image that it is named after.
    """
    names = [shown(path, folder) for path in images]
    known = {os.path.splitext(name)[0] for name in names}
    small = {path for path, name in zip(images, names, strict=True) if _is_thumbnail(name, known)}
    if len(small) == len(images):  # there is nothing that they are copies of
        return images
    left_out.thumbnails += sorted(small)
    return [path for path in images if path not in small]


def _is_thumbnail(name: str, known: set[str]) -> bool:
    *folders, last = name.split(os.sep)
    if any(map(THUMBNAILS.fullmatch, folders)):
        return True
    match = THUMBNAIL.fullmatch(os.path.splitext(last)[0])
    return match is not None and os.sep.join([*folders, match["before"] or match["after"] or ""]) in known

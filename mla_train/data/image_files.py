"""Images in folders as people keep them: among hidden files, thumbnails of programs, and files of other kinds."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

HIDDEN = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "thumbs.db", "desktop.ini"}
"""Names, in lower case, of what systems and programs put beside files."""


@dataclass
class LeftOut:
    """Files and folders that are not read.

    Attributes:
        hidden: Files that are hidden, or in a hidden folder.
        others: Files that are no images by their endings.
        strays: Images beside the class folders.
        folders: Folders that are no classes: without images, or beside the splits.
    """

    hidden: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)

    def notes(self, root: Path) -> list[str]:
        """Lines for the user; paths are relative to the root."""
        endings = Counter(file.suffix.lower() or "without ending" for file in self.others).most_common()
        counts = ", ".join(f"{count:,} {ending}" for ending, count in endings)
        names = ", ".join(str(folder.relative_to(root)) for folder in self.folders)
        lines = {
            f"{len(self.hidden):,} hidden files": _first(self.hidden, root),
            f"{len(self.others):,} files that are no images": counts,
            f"{len(self.strays):,} images beside the class folders": _first(self.strays, root),
            f"{len(self.folders):,} folders without a class": names,
        }
        return [f"left out {what}: {which}" for what, which in lines.items() if which]


def _first(files: list[Path], root: Path) -> str:
    return ", ".join(str(file.relative_to(root)) for file in files[:2]) + (", ..." if len(files) > 2 else "")


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is the work of a system or a program."""
    return name.startswith(".") or name.lower() in HIDDEN


def choose_images(paths: Iterable[Path], folder: Path, endings: set[str], left_out: LeftOut) -> list[Path]:
    """The images among paths below a folder, in order; the other files are added to what is left out."""
    images = []
    for path in sorted(paths):
        if path.is_dir():
            continue
        if any(map(is_hidden, path.relative_to(folder).parts)):
            left_out.hidden.append(path)
        elif path.suffix.lower() in endings:
            images.append(path)
        else:
            left_out.others.append(path)
    return images

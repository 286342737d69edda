"""Pictures in a folder for each class."""

from pathlib import Path

from PIL import Image

from mla_train.data.splits import PART_NAMES
from mla_train.errors import UserError
from tasks.image_classification.config import ImageFolderDataConfig
from tasks.image_classification.data import ImageData
from tasks.image_classification.pictures import read_parts


class ImageFolderData(ImageData):
    """`data.root` holds train/, val/ and test/ with a folder for each class, or the class folders themselves."""

    def setup(self) -> None:
        """Reads all pictures; missing parts are cut from train.

        Raises:
            UserError: There is no such folder, it is empty, or its layout is another.
        """
        options = self.config.data
        assert isinstance(options, ImageFolderDataConfig)
        if options.root is None:
            raise UserError("data.root is missing: name the folder that holds your pictures, data.root=FOLDER")
        root = Path(options.root)
        if not root.is_dir():
            raise UserError(f"data.root={options.root}: there is no such folder ({root.resolve()})")
        folders = {part: _first(root, names) for part, names in PART_NAMES.items()}
        given = {part: folder for part, folder in folders.items() if folder is not None}
        if not given:
            given = {"train": root}
        elif "train" not in given:
            raise UserError(f"{root} has {', '.join(f.name for f in given.values())} but no train folder; add it")

        files = {part: _class_files(folder) for part, folder in given.items()}
        classes = sorted({name for found in files.values() for name in found})
        lacking = [name for name in classes if name not in files["train"]]
        if lacking:
            where = [part for part, found in files.items() if set(lacking) & set(found)]
            raise UserError(
                f"class {', '.join(lacking)} is in {' and '.join(where)} but has no picture in {given['train']}: "
                "add pictures there or remove the class"
            )
        pictures = {part: [path for paths in found.values() for path in paths] for part, found in files.items()}
        labels = {
            part: [classes.index(name) for name, paths in found.items() for _ in paths] for part, found in files.items()
        }
        names = {part: [str(path.relative_to(root)) for path in paths] for part, paths in pictures.items()}
        read_parts(self, pictures, names, labels, classes)


def _first(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _class_files(folder: Path) -> dict[str, list[Path]]:
    """Class name to its pictures.

    Raises:
        UserError: The folder holds no class folders, or these no pictures.
    """
    endings = Image.registered_extensions()
    found = {}
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            files = (path for path in sorted(child.rglob("*")) if not path.name.startswith("."))
            pictures = [path for path in files if path.suffix.lower() in endings and not path.is_dir()]
            if pictures:
                found[child.name] = pictures
    if not found:
        raise UserError(
            f"{folder} holds no pictures in class folders: expected {folder}/CLASS/picture.png, "
            f"or {folder}/train/CLASS/picture.png"
        )
    return found

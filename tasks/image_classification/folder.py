"""Images in a folder for each class."""

from pathlib import Path

from PIL import Image

from mla_train.data.examples import Examples, RawData
from mla_train.data.splits import PART_NAMES
from mla_train.errors import UserError
from tasks.image_classification.config import ImageFolderConfig


def read_folder(options: ImageFolderConfig) -> RawData:
    """Images in `data.root`: train/, val/ and test/ with a folder for each class, or the class folders themselves.

    Raises:
        UserError: There is no such folder, it is empty, or it has another layout.
    """
    if options.root is None:
        raise UserError("data.root is missing: name the folder that holds your images, data.root=FOLDER")
    root = Path(options.root)
    if not root.is_dir():
        raise UserError(f"data.root={options.root}: there is no such folder ({root.resolve()})")
    folders = {split: [root / name for name in names if (root / name).is_dir()] for split, names in PART_NAMES.items()}
    given = {split: choices[0] for split, choices in folders.items() if choices}
    if not given:
        given = {"train": root}
    elif "train" not in given:
        raise UserError(f"{root} has {', '.join(f.name for f in given.values())} but no train folder: add it")
    files = {split: _class_files(folder) for split, folder in given.items()}
    lacking = sorted({name for classes in files.values() for name in classes} - files["train"].keys())
    if lacking:
        where = [split for split, classes in files.items() if set(lacking) & set(classes)]
        raise UserError(
            f"class {', '.join(lacking)} is in {' and '.join(where)} but has no image in {given['train']}: "
            "add images there or remove the class"
        )
    splits = {}
    for split, classes in files.items():
        paths = [path for images in classes.values() for path in images]
        labels = [name for name, images in classes.items() for _ in images]
        splits[split] = Examples({"image": paths}, labels, [str(path.relative_to(root)) for path in paths])
    return RawData(splits)


def _class_files(folder: Path) -> dict[str, list[Path]]:
    """Class name to its images, of which there must be some."""
    endings = Image.registered_extensions()
    classes = {}
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            files = (path for path in sorted(child.rglob("*")) if not path.name.startswith("."))
            images = [path for path in files if path.suffix.lower() in endings and not path.is_dir()]
            if images:
                classes[child.name] = images
    if not classes:
        raise UserError(
            f"{folder} holds no images in class folders: expected {folder}/CLASS/image.png, "
            f"or {folder}/train/CLASS/image.png"
        )
    return classes

"""Images of a folder, without labels."""

from pathlib import Path

from mla_train.data.examples import Examples, RawData
from mla_train.data.image_files import (
    LeftOut,
    choose_files,
    files_below,
    image_endings,
    note_links,
    shown,
    without_thumbnails,
)
from mla_train.data.splits import PART_NAMES
from mla_train.errors import UserError
from tasks.masked_image.config import ImageFilesConfig


def read_images(options: ImageFilesConfig) -> RawData:
    """All images below `data.train`, and below `data.val` and `data.test` where they are named.

    Raises:
        UserError: There is no such folder, or it has no images.
    """
    if options.train is None:
        raise UserError("data.train is missing: name the folder that holds your images, data.train=FOLDER")
    splits, notes = {}, list[str]()
    for split in PART_NAMES:
        name = getattr(options, split)
        if name is None:
            continue
        folder = Path(name)
        if not folder.is_dir():
            raise UserError(f"data.{split}={name}: there is no such folder ({folder.resolve()})")
        left_out = LeftOut()
        images = choose_files(files_below(folder), folder, image_endings(), left_out)
        images = without_thumbnails(images, folder, left_out)
        if not images:
            raise UserError(f"data.{split}={name} has no images, also not in folders below it")
        note_links(images, folder, notes)
        notes += left_out.notes(folder)
        splits[split] = Examples({"image": images}, [None] * len(images), [shown(path, folder) for path in images])
    return RawData(splits, notes)

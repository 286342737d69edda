"""Reading the user's own pictures of all parts."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from mla_train.config import OnError
from mla_train.data.pictures import Pictures, Source, name_broken, read_pictures
from mla_train.errors import UserError
from tasks.image_classification.config import OwnImagesConfig
from tasks.image_classification.data import ImageData, ImageSplit


def decode(sources: Sequence[Source], names: Sequence[str], options: OwnImagesConfig, notes: list[str]) -> Pictures:
    """Reads pictures and brings them to one size.

    Args:
        sources: Files, or the bytes of files.
        names: What to call each in messages.
        options: Size, channels, and what to do with broken ones.
        notes: Gets a line where pictures were changed or left out.

    Raises:
        UserError: A picture is broken and `data.on_error=stop`.
    """
    found = read_pictures(sources, options.image_size, options.channels)
    notes += found.notes
    if found.broken and options.on_error is OnError.stop:
        raise UserError(
            f"{name_broken(found.broken, names)}. Mend or remove them, or leave them out with data.on_error=skip"
        )
    if found.broken:
        notes.append(f"{name_broken(found.broken, names)}; they are left out")
    return found


def read_parts(
    data: ImageData,
    sources: Mapping[str, Sequence[Source]],
    names: dict[str, list[str]],
    labels: dict[str, list[int]],
    classes: list[str],
) -> None:
    """Reads the pictures of all parts, in one size, and gives the set its splits; missing ones are cut from train.

    Args:
        data: The set; its `data` options say how pictures are read and how parts are cut.
        sources: Pictures of "train", and of "val" and "test" where they are given.
        names: What to call each picture in messages.
        labels: Class number of each picture.
        classes: Names of the classes.

    Raises:
        UserError: A part holds no picture that can be read, or what `decode` and `ImageData.finish` raise.
    """
    options = data.config.data
    origin = np.array([part for part, found in sources.items() for _ in found])
    all_names = [name for part in sources for name in names[part]]
    all_labels = torch.tensor([label for part in sources for label in labels[part]])
    found = decode([s for some in sources.values() for s in some], all_names, options, data.notes)
    images, read = found.images, found.read
    parts = {}
    for part in sources:
        index = np.flatnonzero(origin[read] == part)
        if not len(index):
            raise UserError(f"the {part} part holds no picture that can be read")
        kept = read[index]
        parts[part] = ImageSplit(images[index], all_labels[kept], [all_names[i] for i in kept])
    for part, share in (("test", options.test_share), ("val", options.val_share)):
        if part not in parts:
            before = len(parts["train"])
            parts["train"], parts[part] = data.cut(parts["train"], share)
            data.notes.append(
                f"no {part} part is given: cut {len(parts[part]):,} of {before:,} training pictures off for it, "
                f"stratified by class (data.split_seed={options.split_seed})"
            )
    data.finish(parts["train"], parts["val"], parts["test"], classes)

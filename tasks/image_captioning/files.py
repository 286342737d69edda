"""Images with captions in tables, in a folder as Flickr8k has it, or in annotations as COCO has them."""

import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mla_train.config import OnError, TableOptions
from mla_train.data.examples import Examples, RawData
from mla_train.data.file_cells import find_files
from mla_train.data.file_kinds import IMAGES
from mla_train.data.readers import INPUT_NAMES, find_column, with_target_texts
from mla_train.data.rows import note_unused, row_keys, row_names
from mla_train.data.splits import split_of
from mla_train.data.tables import open_source
from mla_train.data.tables.cells import is_empty
from mla_train.data.tables.source import format_of, read_lines
from mla_train.data.tables.splits import read_tables, report_broken
from mla_train.data.tables.table import Table, collect, read_table
from mla_train.errors import UserError, require
from tasks.image_captioning.config import CaptionFilesConfig

FLICKR = "captions.txt"
COCO = re.compile(r"captions_(([a-z]+)\d*)\.json", re.IGNORECASE)


def read_captions(options: CaptionFilesConfig) -> RawData:
    """Tables with an image and a caption in each row; captions of equal images are captions of one image.

    Raises:
        UserError: A file or a column does not exist, or a row cannot be read.
    """
    tables = read_tables(_with_layout(options), "images with captions", _read_file)
    # A row that is broken as a whole cannot be kept without its image.
    on_error = OnError.skip if options.on_error is OnError.missing else options.on_error
    notes = report_broken(tables, on_error)
    splits = {split: _captioned(split, table, options, notes) for split, table in tables.items()}
    return RawData(
        splits, notes, columns={"image": _image_column(tables["train"], options)} if "train" in tables else {}
    )


def _image_column(table: Table, options: CaptionFilesConfig) -> str:
    return find_column(table, options.image_column, INPUT_NAMES["image"], "data.image_column")


def _with_layout(options: CaptionFilesConfig) -> CaptionFilesConfig:
    """The options with the files of a folder that has the layout of Flickr8k or COCO."""
    root = Path(options.root or "")
    if options.root is None or not root.is_dir():
        return options
    if (root / FLICKR).is_file():
        return replace(options, root=str(root / FLICKR))
    files: dict[str, Any] = {}
    for file in sorted([*root.glob("captions_*.json"), *root.glob("annotations/captions_*.json")]):
        match = COCO.fullmatch(file.name)
        if match and (split := split_of(match[2])):
            files[split] = getattr(options, split) or [*files.get(split, []), str(file)]
    return replace(options, root=None, **files) if files else options


def _read_file(file: Path, options: TableOptions) -> Table:
    """A table; captions.txt has cells with commas between, annotations of COCO are a row for each caption."""
    kind = format_of(file)
    if kind == "json" and file.is_file():
        content = None
        with suppress(ValueError, RecursionError):  # the reader of tables says what is wrong
            content = json.loads("".join(read_lines(str(file), str(file), options.encoding)))
        if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
            return _coco_table(file, content)
    return collect(open_source(file, "csv", options)) if kind == "txt" else read_table(file, options)


def _coco_table(file: Path, content: dict[str, Any]) -> Table:
    """The image and the caption of each annotation."""
    table = Table(file, {"image": [], "caption": []}, [])
    try:
        files: dict[Any, str] = {}
        for image in content["images"]:
            if files.setdefault(image["id"], image["file_name"]) != image["file_name"]:
                raise UserError(
                    f"{file}: the id {image['id']} is of several images, {files[image['id']]} and {image['file_name']}: give each its own"
                )
        captions = [(each["image_id"], each["caption"]) for each in content["annotations"]]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{file}: images need id and file_name, annotations image_id and caption; lacking: {error}"
        ) from error
    for number, (image, caption) in enumerate(captions, 1):
        if image in files:
            table.places.append(f"annotation {number}")
            table.cells["image"].append(files[image])
            table.cells["caption"].append(caption)
        else:
            table.broken.append(f"{file} annotation {number}: no image has the id {image}")
    if lacking := len(files.keys() - {image for image, _ in captions}):
        table.notes.append(f"{file}: left out {lacking:,} images without a caption")
    return table


def _captioned(split: str, table: Table, options: CaptionFilesConfig, notes: list[str]) -> Examples:
    """The rows of a table that have a caption."""
    image = _image_column(table, options)
    caption = find_column(table, options.target_column, (), "data.target_column")
    if split == "train":
        note_unused(table, [image, caption], options, notes)
    folders = {file: _images_of(Path(file), options) for file, _ in table.origins}
    notes += [f"{file}: images are read from {each}" for file, each in folders.items() if each != Path(file).parent]
    images, shown = find_files(table.column(image), table.origins, IMAGES, notes, folders)
    examples = Examples({"image": images}, [], row_names(table, options, notes, shown), **row_keys(table, options))
    examples = with_target_texts(examples, table, caption, notes, options)
    kept = [place for place, text in enumerate(examples.targets) if not is_empty(text)]
    if len(kept) < len(examples.targets):
        notes.append(f"left out {len(examples.targets) - len(kept):,} examples of {split} without {caption}")
    require(bool(kept), f"{table.file} has no caption in column {caption}: name another with data.target_column=")
    return examples.select(np.array(kept))


def _images_of(file: Path, options: CaptionFilesConfig) -> Path:
    """The folder that paths of images in a file are relative to."""
    if options.images is not None:
        folder = Path(options.images)
        require(folder.is_dir(), f"data.images={folder}: there is no such folder ({folder.resolve()})")
        return folder
    names = ["Images", "images"] if file.name == FLICKR else []
    if match := COCO.fullmatch(file.name):
        names = [match[1], f"images/{match[1]}", "images"]
    folders = (above / name for above in (file.parent, file.parent.parent) for name in names)
    return next((folder for folder in folders if folder.is_dir()), file.parent)

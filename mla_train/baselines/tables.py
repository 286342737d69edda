"""Tables of features for simple models: at least what the network is given beside its encoder."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.baselines.linear import Table
from mla_train.data.splits import SPLITS
from mla_train.dataset import Dataset
from mla_train.modalities.audio import AudioColumn

IMAGE_SIDE = 32  # pixels a side that a simple model of images reads, at most
IMAGE_SIDE_BESIDE_OTHERS = 16
USUAL_CONVOLUTIONS, BATCH = 2_000, 256  # features; series at a time
STRETCHES = 12  # of a recording
USUAL_FEATURES = 100_000  # of each kind of n-gram, where the network has none


def columns_of(data: Dataset, name: str) -> list[Any]:
    """An input of train, val and test."""
    return [getattr(data, split).columns[name] for split in SPLITS]


def text_tables(data: Dataset, name: str) -> list[Table]:
    """TF-IDF features of the network; where it has none, those that it would have."""
    columns = columns_of(data, name)
    if columns[0].tfidf is not None:
        return [column.tfidf for column in columns]
    from mla_train.data.tfidf import TfidfFeatures

    features = TfidfFeatures.learn(columns[0].texts, USUAL_FEATURES)
    return [features.matrix(column.texts) for column in columns]


def pixel_tables(data: Dataset, name: str) -> list[Table]:
    """Standardized pixels of images, of at most 32 x 32."""
    images = [column.images for column in columns_of(data, name)]
    if max(images[0].shape[-2:]) > IMAGE_SIDE:
        images = [shrink(split, IMAGE_SIDE).to(torch.uint8) for split in images]
    pixels = [split.flatten(1).numpy().astype(np.float32) for split in images]
    return standardize(pixels, pixels[0])


def statistics_tables(data: Dataset, name: str) -> list[Table]:
    """Standardized statistics of each channel of whole series."""
    from mla_train.modalities.series.statistics import summarize

    tables = _series_tables(data, name, summarize)
    return standardize(tables, tables[0])


def convolution_tables(data: Dataset, name: str) -> list[Table]:
    """Standardized features of fixed convolutions of whole series, of about the length of a text's vector."""
    from mla_train.modalities.series.convolutions import FixedConvolutions

    spec: Any = data.spec.inputs[name].spec
    convolutions = FixedConvolutions(len(spec.names), spec.longest, USUAL_CONVOLUTIONS)
    order = np.random.default_rng(0).permutation(len(data.train))[:BATCH]
    examples = data.spec.inputs[name].collate([data.train.columns[name][place] for place in order])
    convolutions.init_from_data(examples.past, examples.real)
    tables = _series_tables(data, name, convolutions)
    return [table / np.sqrt(table.shape[1]) for table in standardize(tables, tables[0])]


def _series_tables(data: Dataset, name: str, features: Callable[[Tensor, Tensor], Tensor]) -> list[np.ndarray]:
    modality = data.spec.inputs[name]
    tables = []
    for column in columns_of(data, name):
        batches = (range(first, min(first + BATCH, len(column))) for first in range(0, len(column), BATCH))
        tensors = (modality.collate([column[place] for place in places]) for places in batches)
        tables.append(torch.cat([features(each.past, each.real) for each in tensors]).numpy())
    return tables


def step_tables(data: Dataset, name: str) -> list[Table]:
    """Steps of whole series, each series interpolated to the length of the longest training series."""
    from mla_train.modalities.series.spec import SeriesSpec

    spec: SeriesSpec = data.spec.inputs[name].spec

    def steps(series: np.ndarray | None) -> np.ndarray:
        if series is None or not len(series):
            return np.zeros(spec.longest * len(spec.names))
        scaled = np.nan_to_num((series - spec.mean) / spec.std)
        places = np.linspace(0, len(scaled) - 1, spec.longest)
        return np.concatenate([np.interp(places, np.arange(len(scaled)), channel) for channel in scaled.T])

    return [np.stack([steps(column[place]) for place in range(len(column))]) for column in columns_of(data, name)]


def spectrogram_tables(data: Dataset, name: str) -> list[Table]:
    """Standardized spectrograms of recordings, each as the means of twelve stretches of time."""
    tables = [coarse_spectrograms(column) for column in columns_of(data, name)]
    return standardize(tables, tables[0])


def coarse_spectrograms(column: Any) -> np.ndarray:
    """Means of twelve stretches of what is between the first and the last loud frame, `(recordings, 12 * bands)`.

    Zeros where there is no recording.
    """
    bands = next(each.shape[1] for each in column.values if len(each))
    rows = np.zeros((len(column), bands * STRETCHES), np.float32)
    for place, each in enumerate(column.values):
        if len(each):
            level = each.mean(1, dtype=np.float32)
            loud = np.flatnonzero(level >= (np.quantile(level, 0.1) + level.max()) / 2)
            part = torch.from_numpy(each[loud[0] : loud[-1] + 1].T).float()
            rows[place] = F.adaptive_avg_pool1d(part, STRETCHES).flatten().numpy()
    return rows


def number_tables(data: Dataset, name: str) -> list[Table]:
    """Images or features as rows of numbers, of about the length of a text's vector so that one penalty suits all.

    What is missing counts as the mean.
    """
    columns = columns_of(data, name)
    missing = [column.is_missing() for column in columns]
    rows = [_numbers(column) for column in columns]
    tables = standardize(rows, rows[0][~missing[0]])
    width = np.sqrt(rows[0].shape[1])
    return [np.where(lack[:, None], 0, table) / width for table, lack in zip(tables, missing, strict=True)]


def _numbers(column: Any) -> np.ndarray:
    """Small images, coarse spectrograms, or the mean of features over their steps."""
    if hasattr(column, "images"):
        return shrink(column.images, IMAGE_SIDE_BESIDE_OTHERS).flatten(1).numpy()
    if isinstance(column, AudioColumn):
        return coarse_spectrograms(column)
    width = next(value.shape[1] for value in column.values if len(value))
    return np.stack([value.mean(0) if len(value) else np.zeros(width) for value in column.values])


def shrink(images: Tensor, side: int) -> Tensor:
    """Images `(images, channels, height, width)` as means of regions, `(images, channels, side, side)`."""
    return torch.cat([F.adaptive_avg_pool2d(some.float(), side) for some in images.split(1000)])


def standardize(tables: Sequence[np.ndarray], train: np.ndarray) -> list[np.ndarray]:
    """Tables with the mean 0 and the standard deviation 1 of some training rows."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train)
    return [scaler.transform(table) for table in tables]


def join(tables: Iterable[Sequence[Table]]) -> list[Table]:
    """Several tables of train, val and test side by side."""
    from scipy.sparse import hstack, issparse

    splits = list(zip(*tables, strict=True))
    is_sparse = any(issparse(table) for table in splits[0])
    return [hstack(split, format="csr") if is_sparse else np.concatenate(split, 1) for split in splits]

"""One npz file with the arrays of all splits, as MedMNIST (Yang et al. 2023) and its kin are given out."""

from typing import Any

import numpy as np
import torch

from mla_train.data.examples import Examples, RawData
from mla_train.data.packed import open_arrays
from mla_train.data.splits import SPLITS
from mla_train.errors import UserError
from tasks.image_classification.config import MedmnistConfig


def read_medmnist(options: MedmnistConfig) -> RawData:
    """Images and labels of an npz file: `train_images`, `train_labels`, and those of val and test.

    Raises:
        UserError: The file cannot be read, or its arrays are of another kind.
    """
    path = options.path
    if path is None:
        raise UserError("data.path is missing: name the npz file, such as pneumoniamnist.npz")
    with open_arrays(path) as content:
        arrays = {name: content[name] for name in content.files}
    splits = {}
    for split in SPLITS:
        if f"{split}_images" not in arrays:
            continue
        images, labels = arrays[f"{split}_images"], arrays.get(f"{split}_labels")
        if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)):
            raise UserError(
                f"{path}: {split}_images holds {images.dtype} of shape {images.shape}; needed are bytes of shape (images, "
                "height, width), or with 3 colours behind"
            )
        if labels is None or len(labels) != len(images) or labels.ndim > 2:
            raise UserError(f"{path}: {split}_labels needs a label for each of the {len(images)} {split}_images")
        pixels = torch.from_numpy(images)
        pixels = pixels.unsqueeze(1) if images.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
        names = [f"{split} {place}" for place in range(len(images))]
        splits[split] = Examples({"image": pixels}, _labels(labels), names)
    if "train" not in splits:
        raise UserError(f"{path} has no train_images; there are {', '.join(sorted(arrays)) or 'no arrays'}")
    return RawData(splits)


def _labels(labels: np.ndarray) -> Any:
    """A class number an image; where there are several columns of 0 and 1, the numbers of those with 1."""
    if labels.ndim == 1 or labels.shape[1] == 1:
        return labels.reshape(-1)
    return [np.flatnonzero(row).tolist() for row in labels]

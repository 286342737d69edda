"""Named data sets: digits, which ships with scikit-learn, and those of torchvision."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from mla_train.data.examples import Examples, RawData
from mla_train.errors import UserError, did_you_mean
from tasks.image_classification.config import DigitsConfig, TorchvisionConfig


def read_digits(options: DigitsConfig) -> RawData:
    """1,797 handwritten digits of 8 x 8 pixels (UCI Optical Recognition of Handwritten Digits) inside scikit-learn."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy((digits.images * (255 / 16)).round().astype(np.uint8)).unsqueeze(1)
    return RawData({"train": Examples({"image": images}, digits.target)})


def read_torchvision(options: TorchvisionConfig) -> RawData:
    """MNIST, FashionMNIST, CIFAR10, CIFAR100 and the like: images of one size with a train and a test split.

    Raises:
        UserError: The files do not exist, or torchvision has no such data set.
    """
    from torchvision import datasets

    if options.dataset not in datasets.__all__:
        raise UserError(
            f"data.dataset={options.dataset}: torchvision has no such data set. "
            f"{did_you_mean(options.dataset, datasets.__all__)}"
        )
    kind: Any = getattr(datasets, options.dataset)
    try:
        sets = {
            split: kind(options.root, train=split == "train", download=options.download) for split in ("train", "test")
        }
    except (RuntimeError, FileNotFoundError, OSError) as error:
        raise UserError(
            f"{options.dataset} is not in data.root={options.root} ({Path(options.root).resolve()}): name the "
            f"folder that holds it, or add data.download=true to fetch it. torchvision says: {error}"
        ) from error
    except TypeError as error:
        raise UserError(
            f"data.dataset={options.dataset} has no train and test splits of images of one size: choose another data set"
        ) from error
    splits = {
        split: Examples({"image": _channels_first(each.data)}, np.asarray(each.targets)) for split, each in sets.items()
    }
    return RawData(splits, classes=[str(name) for name in sets["train"].classes])


def _channels_first(images: Any) -> torch.Tensor:
    """Torchvision's arrays as `(examples, channels, height, width)` bytes."""
    tensor = torch.as_tensor(images)
    return tensor.unsqueeze(1) if tensor.dim() == 3 else tensor.permute(0, 3, 1, 2).contiguous()

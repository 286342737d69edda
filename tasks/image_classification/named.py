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
        splits = {"train": True, "test": False}
        sets = {split: kind(options.root, train=train, download=options.download) for split, train in splits.items()}
    except (RuntimeError, FileNotFoundError, OSError) as error:
        raise UserError(
            f"{options.dataset} is not in data.root={options.root} ({Path(options.root).resolve()}): name the "
            f"folder that holds it, or add data.download=true to fetch it. torchvision says: {error}"
        ) from error
    except TypeError as error:
        raise UserError(
            f"data.dataset={options.dataset} has no train and test splits of images of one size: choose another data set"
        ) from error
    examples = {}
    for split, each in sets.items():
        images = torch.as_tensor(each.data)  # (examples, height, width), or with channels behind
        images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2).contiguous()
        examples[split] = Examples({"image": images}, np.asarray(each.targets))
    return RawData(examples, classes=[str(name) for name in sets["train"].classes])

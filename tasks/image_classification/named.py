"""Sets that have a name: digits, which scikit-learn brings along, and those that torchvision knows."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from mla_train.errors import UserError, did_you_mean
from tasks.image_classification.config import DigitsDataConfig, TorchvisionDataConfig
from tasks.image_classification.data import ImageData, ImageSplit


class DigitsData(ImageData):
    """1,797 handwritten digits of 8 x 8 pixels (UCI Optical Recognition of Handwritten Digits), split 70/10/20."""

    def setup(self) -> None:
        """Reads the copy inside scikit-learn."""
        from sklearn.datasets import load_digits

        assert isinstance(self.config.data, DigitsDataConfig)
        digits = load_digits()
        images = torch.from_numpy((digits.images * (255 / 16)).round().astype(np.uint8)).unsqueeze(1)
        whole = ImageSplit(images, torch.from_numpy(digits.target).long())
        rest, test = self.cut(whole, 0.2)
        train, val = self.cut(rest, 0.125)
        self.finish(train, val, test, [str(name) for name in digits.target_names])


class TorchvisionData(ImageData):
    """MNIST, FashionMNIST, CIFAR10, CIFAR100 and others of their kind: pictures of one size, train and test."""

    def setup(self) -> None:
        """Reads the files under `data.root`, fetching them only if `data.download` says so.

        Raises:
            UserError: The files are not there, or torchvision knows no such set.
        """
        from torchvision import datasets

        options = self.config.data
        assert isinstance(options, TorchvisionDataConfig)
        if options.dataset not in datasets.__all__:
            raise UserError(
                f"data.dataset={options.dataset}: torchvision has no such set. "
                f"{did_you_mean(options.dataset, datasets.__all__)}"
            )
        found: Any = getattr(datasets, options.dataset)
        try:
            parts = [found(options.root, train=train, download=options.download) for train in (True, False)]
        except (RuntimeError, FileNotFoundError, OSError) as error:
            raise UserError(
                f"{options.dataset} is not in data.root={options.root} ({Path(options.root).resolve()}): name the "
                f"folder that holds it, or add data.download=true to fetch it. torchvision says: {error}"
            ) from error
        except TypeError as error:
            raise UserError(
                f"data.dataset={options.dataset} is not of the kind that is read here (train and test of one size)"
            ) from error
        splits = [ImageSplit(_bytes(part.data), torch.as_tensor(part.targets).long()) for part in parts]
        train, val = self.cut(splits[0], options.val_share)
        self.finish(train, val, splits[1], [str(name) for name in parts[0].classes])


def _bytes(images: Any) -> torch.Tensor:
    """Torchvision's arrays as `(examples, channels, height, width)` bytes."""
    tensor = torch.as_tensor(images)
    return tensor.unsqueeze(1) if tensor.dim() == 3 else tensor.permute(0, 3, 1, 2).contiguous()

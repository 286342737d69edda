"""Baselines of images: logistic regression and a support vector machine on pixels, a small convolutional network."""

import time
from functools import cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.baselines.base import Baseline, Baselines, Limit
from mla_train.baselines.linear import Table, linear_baseline, read_scores
from mla_train.baselines.tables import IMAGE_SIDE, columns_of, pixel_tables, shrink
from mla_train.data.cache import cached
from mla_train.dataset import Dataset
from mla_train.heads.calibration import best_temperature

SVM_EXAMPLES = 6000  # at most: the time of a support vector machine grows with their square
SVM_SETTINGS = ((10.0, 1.0), (10.0, 2.0), (3.0, 1.0), (10.0, 0.5))
"""Inverse strength of the penalty, and width of the kernel relative to scikit-learn's `scale`; the usual one first."""
BATCH, SHIFT = 64, 2
EPOCHS, USUAL_STEPS = (15, 60), 3000  # of the convolutional network: few images are seen more often
MOST_SECONDS = 150.0  # of it, and at most half of the time of all


def image_baselines(data: Dataset) -> Baselines:
    """A linear model, and of classes a support vector machine and a small convolutional network."""
    (name,) = data.spec.inputs
    tables = cache(partial(pixel_tables, data, name))
    baselines: Baselines = {"linear": partial(linear_baseline, "linear", tables, data)}
    if data.spec.head.kind == "classification":
        baselines |= {"rbf_svm": partial(support_vectors, tables, data), "cnn": partial(_cnn, data, name)}
    return baselines


def support_vectors(tables: Any, data: Dataset, limit: Limit) -> Baseline | None:
    """The support vector machine with radial kernel that is best on val."""
    if len(data.train.targets) > SVM_EXAMPLES:
        return None
    train, val, test = tables()
    best: tuple[float, Baseline] | None = None
    for strength, width in SVM_SETTINGS:
        of_val, of_test = cached(svm_predictions)(train, data.train.targets, val, test, strength, width)
        score = float((of_val == data.val.targets).mean())
        if best is None or score > best[0]:
            columns = (
                {"label": data.val.targets, "predicted": of_val},
                {"label": data.test.targets, "predicted": of_test},
            )
            best = score, Baseline(*columns, {"strength": strength, "width": width})
        if limit.is_over:
            break
    assert best is not None
    return best[1]


def svm_predictions(
    train: Table, targets: np.ndarray, val: Table, test: Table, strength: float, width: float
) -> tuple[np.ndarray, np.ndarray]:
    """Classes of val and test by a support vector machine with radial kernel."""
    from sklearn.svm import SVC

    gamma = width / (train.shape[1] * max(float(train.var()), 1e-9))
    model = SVC(C=strength, gamma=gamma).fit(train, targets)
    return model.predict(val), model.predict(test)


class ConvolutionalNetwork(nn.Sequential):
    """Two convolutions and two linear layers."""

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        height, width = (max(1, length // 4) for length in size)
        super().__init__(
            nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d((height, width)),
            nn.Flatten(), nn.Dropout(0.5), nn.Linear(64 * height * width, 128), nn.ReLU(), nn.Linear(128, classes),
        )  # fmt: skip


def _cnn(data: Dataset, name: str, limit: Limit) -> Baseline | None:
    """The network of the epoch that is best on val; the learning rate falls to zero over the epochs that fit the time."""
    if limit.quick:
        return None
    images = [_pixels(column.images) for column in columns_of(data, name)]
    mean, std = images[0].mean((0, 2, 3), keepdim=True), images[0].std((0, 2, 3), keepdim=True) + 1e-3
    train, val, test = ((split - mean) / std for split in images)
    targets = torch.from_numpy(np.asarray(data.train.targets))
    seconds = min(limit.seconds_left, limit.seconds / 2, MOST_SECONDS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        height, width = train.shape[-2:]
        network = ConvolutionalNetwork(train.size(1), (height, width), len(data.spec.target.classes))
        scores, epochs = _train(network, train, targets, (val, test), np.asarray(data.val.targets), seconds)
    temperature = best_temperature(scores[0], np.asarray(data.val.targets))
    of_val, of_test = (each / temperature for each in scores)
    return Baseline(read_scores(data, "val", of_val), read_scores(data, "test", of_test), {"epochs": epochs})


def _pixels(images: Tensor) -> Tensor:
    return shrink(images, IMAGE_SIDE) if max(images.shape[-2:]) > IMAGE_SIDE else images.float()


def _train(
    network: nn.Module,
    train: Tensor,
    targets: Tensor,
    others: tuple[Tensor, Tensor],
    val_labels: np.ndarray,
    seconds: float,
) -> tuple[list[np.ndarray], int]:
    """Scores of val and test of the best epoch, and the number of epochs that the time allowed."""
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    usual = int(np.clip(USUAL_STEPS * BATCH / len(train), *EPOCHS))
    best, best_score, epoch, epochs, start = [np.zeros(0)] * 2, -1.0, 0, usual, time.monotonic()
    while epoch < epochs:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - epoch / epochs) ** 0.5
        network.train()
        for rows in torch.randperm(len(train)).split(BATCH):
            loss = F.cross_entropy(network(_shifted(train[rows])), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        epoch += 1
        epochs = max(epoch, min(usual, int(seconds * epoch / (time.monotonic() - start))))
        network.eval()
        with torch.no_grad():
            scores = [torch.cat([network(some) for some in split.split(512)]).numpy() for split in others]
        score = float((scores[0].argmax(1) == val_labels).mean())
        if score >= best_score:
            best, best_score = scores, score
    return best, epoch


def _shifted(images: Tensor) -> Tensor:
    """Images moved by up to two pixels in both directions."""
    down, right = torch.randint(-SHIFT, SHIFT + 1, (2,)).tolist()
    padded = F.pad(images, (SHIFT,) * 4)
    height, width = images.shape[-2:]
    return padded[..., SHIFT + down : SHIFT + down + height, SHIFT + right : SHIFT + right + width]

"""Visual words: the centres of clusters of image patches (k-means by scikit-learn)."""

import numpy as np
import torch
from torch import Tensor

SAMPLE = 50_000
DAMPING = 0.1  # of directions that hardly vary, in shares of the mean variance
SHARPNESS = 12.0  # of the soft assignment, relative to the mean squared distance to the nearest word


def learn_words(images: np.ndarray, count: int, side: int) -> tuple[Tensor, Tensor]:
    """Clusters patches after whitening, without which all would be flat areas and edges (Coates, Lee & Ng 2011).

    Args:
        images: Pixels from 0 to 255, `(images, channels, height, width)`.
        count: Number of words.
        side: Height and width of a patch.

    Returns:
        Weight `(count, channels, side, side)` and bias `(count,)` of a convolution whose outputs are minus the squared
        distances of a patch to each word, sharpened, but for a constant.
    """
    from sklearn.cluster import MiniBatchKMeans

    patches = sample_patches(torch.from_numpy(images), side)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    values = values.clamp(min=0)
    whitening = vectors @ torch.diag((values + DAMPING * values.mean() + 1e-3).rsqrt()) @ vectors.T
    white = (patches - mean) @ whitening
    # With few distinct patches several words are equal; a patch is then assigned to all of them alike.
    clusters = MiniBatchKMeans(count, batch_size=4096, n_init=1, max_iter=20, random_state=0).fit(white.numpy())
    words = torch.from_numpy(clusters.cluster_centers_).to(white)
    nearest = torch.cdist(white[:20_000], words).amin(1).square().mean()
    sharpness = SHARPNESS / nearest.clamp(min=1e-3)
    # |x - w|^2 = |x|^2 - 2 x w + |w|^2 with x = whitening (patch - mean); |x|^2 is the same for all words.
    weight = 2 * sharpness * words @ whitening
    bias = -weight @ mean - sharpness * words.square().sum(1)
    return weight.view(count, images.shape[1], side, side), bias


def sample_patches(images: Tensor, side: int) -> Tensor:
    """Squares from random places of random images, always the same ones, `(SAMPLE, channels * side * side)`."""
    generator = torch.Generator().manual_seed(0)
    count, _, height, width = images.shape
    which, top, left = (
        torch.randint(upper, (SAMPLE, 1, 1), generator=generator)
        for upper in (count, height - side + 1, width - side + 1)
    )
    steps = torch.arange(side)
    patches = images[which, :, top + steps.view(1, -1, 1), left + steps]
    return patches.movedim(-1, 1).flatten(1).float()

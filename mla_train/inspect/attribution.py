"""What an answer hangs on, asked of the answer itself and not of attention.

Occlusion, LIME and SHAP take units of the example out and see what becomes of the score: they know the model as one
function from masks to scores. Integrated gradients follow the score from a blank example to the real one. The libraries
that do the work (captum, lime, shap: the extra `explain`) are imported when they are asked for.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mla_train.errors import UserError
from mla_train.inspect.views import View

Scores = Callable[[np.ndarray], np.ndarray]
"""From masks `(examples, units)`, True where a unit stays, to scores `(examples,)`."""

ROWS = 64  # examples at a time
STEPS = 128  # of the path that gradients are summed along
SAMPLES = 1024  # masks that LIME and SHAP fit a line to


def mask_scores(forward: Callable[[Any], Any], view: View) -> Scores:
    """The score of an example of which some units are taken out.

    Args:
        forward: From a batch to outputs.
        view: Of the example.
    """

    @torch.no_grad()
    def scores(masks: np.ndarray) -> np.ndarray:
        parts = [masks[i : i + ROWS].astype(bool) for i in range(0, len(masks), ROWS)]
        return np.concatenate([view.score(forward(view.without(part))).double().cpu().numpy() for part in parts])

    return scores


def occlusion(scores: Scores, units: int) -> np.ndarray:
    """By how much the score falls when a unit alone is taken out (Zeiler and Fergus 2014).

    Args:
        scores: Of masks.
        units: Their number.

    Returns:
        `(units,)`.
    """
    from captum.attr import FeatureAblation

    ablation = FeatureAblation(lambda masks: torch.from_numpy(scores(masks.numpy())))
    return ablation.attribute(torch.ones(1, units), perturbations_per_eval=ROWS)[0].numpy()


def lime(scores: Scores, units: int, seed: int = 0) -> np.ndarray:
    """Weights of a linear model that imitates the score near the example (Ribeiro et al. 2016).

    As the library does for texts: of each sample a random number of units is taken out, and it counts by its cosine
    with the whole.

    Args:
        scores: Of masks.
        units: Their number.
        seed: Of the samples.

    Returns:
        `(units,)`.
    """
    from lime.lime_base import LimeBase

    generator = np.random.default_rng(seed)
    masks = np.ones((SAMPLES, units))
    for mask in masks[1:]:
        mask[generator.permutation(units)[: generator.integers(1, units + 1)]] = 0
    base = LimeBase(lambda distance: np.sqrt(np.exp(-(distance**2) / 0.25**2)), random_state=seed)
    distances = 1 - np.sqrt(masks.mean(1))  # the cosine of a mask with ones
    values = scores(masks)[:, None]
    found = base.explain_instance_with_data(masks, values, distances, 0, units, feature_selection="none")[1]
    weights = np.zeros(units)
    for unit, weight in found:
        weights[unit] = weight
    return weights


def shapley(scores: Scores, units: int, seed: int = 0) -> np.ndarray:
    """Shapley values (Lundberg and Lee 2017): what a unit adds, mean over the orders in which units can come.

    They sum to the score less that of the blank example; each is exact up to ten units and sampled beyond.

    Args:
        scores: Of masks.
        units: Their number.
        seed: Of the samples.

    Returns:
        `(units,)`.
    """
    from shap import KernelExplainer

    explainer = KernelExplainer(scores, np.zeros((1, units)))
    state = np.random.get_state()  # the library draws from numpy's common generator
    np.random.seed(seed)
    try:
        return explainer.shap_values(np.ones((1, units)), nsamples=2 * units + SAMPLES, l1_reg=False, silent=True)[0]
    finally:
        np.random.set_state(state)


def integrated_gradients(view: View) -> np.ndarray:
    """Gradients of the score along the way from blank leaves to the example's (Sundararajan et al. 2017).

    They sum to the score less that of blank leaves, as nearly as the steps are fine.

    Args:
        view: Of the example.

    Returns:
        `(units,)`.

    Raises:
        UserError: Nothing that the model reads of it has a gradient.
    """
    from captum.attr import IntegratedGradients

    outputs = view.outputs
    if outputs is None or not view.leaves:
        raise UserError("this model has no integrated gradients: choose --method occlusion, lime or shap")

    def score(*values: Tensor) -> Tensor:
        return view.score(outputs(values))

    values, blanks = (tuple(getattr(leaf, name) for leaf in view.leaves) for name in ("value", "blank"))
    found = IntegratedGradients(score).attribute(
        values, blanks, n_steps=STEPS, method="gausslegendre", internal_batch_size=ROWS
    )
    gathered = [leaf.gather(part.detach()) for leaf, part in zip(view.leaves, found, strict=True)]
    return torch.stack(gathered).sum(0).double().numpy()


METHODS = {"integrated_gradients": "captum", "occlusion": "captum", "lime": "lime", "shap": "shap"}
"""Each method and the package that it needs."""


def attribute(method: str, forward: Callable[[Any], Any], view: View) -> np.ndarray:
    """How much each unit adds to the score, by one of `METHODS`.

    Args:
        method: Its name.
        forward: From a batch to outputs.
        view: Of the example.

    Returns:
        `(units,)`.

    Raises:
        UserError: The package is not installed, or the method does not suit the model.
    """
    try:
        if method == "integrated_gradients":
            return integrated_gradients(view)
        return {"occlusion": occlusion, "lime": lime, "shap": shapley}[method](mask_scores(forward, view), len(view))
    except ModuleNotFoundError as error:
        if error.name != METHODS[method]:
            raise
        raise UserError(
            f"--method {method} is done by the package {error.name}, which is not installed: pip install {error.name}"
        ) from error

"""Attribution of a prediction to the units of its example, from the prediction itself and not from attention.

Occlusion, LIME and SHAP occlude units and measure the score: to them the model is a function from masks to scores.
Integrated gradients follow the score from a baseline to the example. Each method gives a value for each unit, `(units,)`. The
libraries captum, lime and shap (the extra `explain`) are imported when a method needs them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mla_train.errors import UserError
from mla_train.explain import METHODS
from mla_train.explain.explanation import Explanation

Scores = Callable[[np.ndarray], np.ndarray]
"""From masks `(examples, units)`, False where a unit is occluded, to scores `(examples,)`."""

ROWS = 64  # examples in a batch
STEPS = 128  # steps of the path of integrated gradients
SAMPLES, SEED = 1024, 0  # masks that LIME and SHAP sample


def mask_scores(forward: Callable[[Any], Any], explanation: Explanation) -> Scores:
    """The score that a network gives an example, as a function of masks over its units."""

    @torch.no_grad()
    def scores(masks: np.ndarray) -> np.ndarray:
        parts = [masks[i : i + ROWS].astype(bool) for i in range(0, len(masks), ROWS)]
        values = [explanation.score(forward(explanation.occlude(part))) for part in parts]
        return torch.cat(values).double().cpu().numpy()

    return scores


def occlusion(scores: Scores, units: int) -> np.ndarray:
    """Decrease of the score when a single unit is occluded (Zeiler and Fergus 2014)."""
    from captum.attr import FeatureAblation

    ablation = FeatureAblation(lambda masks: torch.from_numpy(scores(masks.numpy())))
    return ablation.attribute(torch.ones(1, units), perturbations_per_eval=ROWS)[0].numpy()


def lime(scores: Scores, units: int) -> np.ndarray:
    """Weights of a linear model of the score near the example (Ribeiro et al. 2016).

    As the library does for texts: each sample occludes a random number of units and is weighted by its cosine similarity
    with the whole.
    """
    from lime.lime_base import LimeBase

    generator = np.random.default_rng(SEED)
    masks = np.ones((SAMPLES, units))
    for mask in masks[1:]:
        mask[generator.permutation(units)[: generator.integers(1, units + 1)]] = 0
    base = LimeBase(lambda distance: np.sqrt(np.exp(-(distance**2) / 0.25**2)), random_state=SEED)
    distances = 1 - np.sqrt(masks.mean(1))  # the cosine of a mask with ones
    values = scores(masks)[:, None]
    pairs = base.explain_instance_with_data(masks, values, distances, 0, units, feature_selection="none")[1]
    return np.array([weight for _, weight in sorted(pairs)])


def shapley(scores: Scores, units: int) -> np.ndarray:
    """Shapley values (Lundberg and Lee 2017): what a unit adds to the score, averaged over the orders of units.

    They sum to the score minus that of the fully occluded example; they are exact up to ten units and sampled beyond.
    """
    from shap import KernelExplainer

    explainer = KernelExplainer(scores, np.zeros((1, units)))
    state = np.random.get_state()  # the library draws from numpy's common generator
    np.random.seed(SEED)
    try:
        return explainer.shap_values(np.ones((1, units)), nsamples=2 * units + SAMPLES, l1_reg=False, silent=True)[0]
    finally:
        np.random.set_state(state)


def integrated_gradients(explanation: Explanation) -> np.ndarray:
    """Gradients of the score along the path from the baseline to the example (Sundararajan et al. 2017).

    They sum to the score minus that of the baseline, up to the error of the numerical integral.

    Raises:
        UserError: The explanation has no gradient inputs.
    """
    from captum.attr import IntegratedGradients

    inputs = explanation.gradient_inputs
    if not inputs:
        raise UserError("this model has no integrated gradients; use --method occlusion, lime or shap")

    def score(*values: Tensor) -> Tensor:
        return explanation.score(explanation.outputs(values))

    values, baselines = (tuple(getattr(entry, name) for entry in inputs) for name in ("value", "baseline"))
    gradients = IntegratedGradients(score).attribute(
        values, baselines, n_steps=STEPS, method="gausslegendre", internal_batch_size=ROWS
    )
    gathered = [entry.gather(part.detach()) for entry, part in zip(inputs, gradients, strict=True)]
    return torch.stack(gathered).sum(0).double().numpy()


def attribute(method: str, forward: Callable[[Any], Any], explanation: Explanation) -> np.ndarray:
    """Attribution of the score that a network gives an example to each unit, `(units,)`, by one of `METHODS`.

    Raises:
        UserError: The package is not installed, or the model has no gradient inputs.
    """
    try:
        if method == "integrated_gradients":
            return integrated_gradients(explanation)
        return {"occlusion": occlusion, "lime": lime, "shap": shapley}[method](
            mask_scores(forward, explanation), len(explanation)
        )
    except ModuleNotFoundError as error:
        if error.name != METHODS[method]:
            raise
        raise UserError(f"--method {method} needs the package {error.name}: pip install {error.name}") from error

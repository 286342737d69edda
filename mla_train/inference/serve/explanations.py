"""What a prediction looked at: attention maps as figures, and the effect of each word, cell or step when it is occluded."""

import base64
import copy
import io
from collections.abc import Callable
from textwrap import shorten
from typing import Any

import numpy as np

from mla_train.explain.attribution import mask_scores
from mla_train.explain.attribution_figures import draw_attributions
from mla_train.explain.draw_attention import LONGEST_TITLE, observe_views
from mla_train.explain.explanation import Explanation
from mla_train.explain.heatmaps import draw_attention_view
from mla_train.inference.predictor import Predictor
from mla_train.modalities.explanation import WordUnits

MOST_UNITS = 512
"""Number of words, cells and steps up to which each is occluded."""


class Explainer:
    """Explains predictions with a copy of the network, since layers that are observed keep what they compute.

    Args:
        predictor: Trained model.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.task = predictor.task
        shared = {id(part): part for part in (predictor.spec, predictor.config)}
        self.network: Any = copy.deepcopy(predictor.network, shared).cpu()

    def explain(self, example: dict[str, Any]) -> dict[str, Any]:
        """The prediction of an example as text, its words with their effects, and figures.

        Args:
            example: Raw value of each input by name.

        Raises:
            UserError: The example cannot be explained.
        """
        explanation = self.task.explain(self.network, dict.fromkeys(self.network.spec.inputs) | example)
        prediction = shorten(explanation.prediction, LONGEST_TITLE, placeholder=" ...")
        words, figures = [], []
        if len(explanation) <= MOST_UNITS:
            effects = self._occlude(explanation)
            labels = [label for units in explanation.units if isinstance(units, WordUnits) for label in units.labels]
            if len(labels) == len(explanation):
                words = [{"word": word, "effect": float(effect)} for word, effect in zip(labels, effects, strict=True)]
            else:
                title = f"effect on {explanation.score_name} when occluded"
                figures.append(_figure(title, draw_attributions, explanation, {"occlusion": effects}))
        for view, records in observe_views(self.network, explanation):
            weights = records[-1].weights[view.call][view.row]
            title = f"attention, {view.name}, layer {len(records)}"
            figures.append(_figure(title, draw_attention_view, view, weights, f"{title}  ({prediction})"))
        return {
            "prediction": explanation.prediction,
            "score": explanation.score_name,
            "words": words,
            "figures": figures,
        }

    def _occlude(self, explanation: Explanation) -> np.ndarray:
        """Decrease of the score when a unit is occluded, `(units,)`."""
        count = len(explanation)
        scores = mask_scores(self.network, explanation)(np.concatenate([np.ones((1, count)), 1 - np.eye(count)]))
        return scores[0] - scores[1:]


def _figure(title: str, draw: Callable[..., None], *arguments: Any) -> dict[str, str]:
    """A figure as PNG in base64."""
    file = io.BytesIO()
    draw(*arguments, file)
    return {"title": title, "png": base64.b64encode(file.getvalue()).decode()}

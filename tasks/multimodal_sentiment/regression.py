"""Sentiment as a number from -3 to 3, with the metrics of the literature on CMU-MOSI and CMU-MOSEI.

The sets and their metrics: Zadeh et al. 2016 (arXiv 1606.06259), Tsai et al. 2019 (arXiv 1906.00295). Papers report the
accuracy of two classes in two ways, and MMSA both: negative against the rest, and negative against positive.
"""

import numpy as np

from mla_train.heads import Predictions, Regression


class SentimentRegression(Regression):
    """A number whose sign and rounded value are scored too."""

    directions = {
        "mae": "min", "pearson": "max", "acc_2": "max", "acc_2_nonzero": "max", "f1_nonzero": "max", "acc_7": "max",
        "rmse": "min", "r2": "max", "spearman": "max",
    }  # fmt: skip

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Metrics of regression and of sentiment.

        acc_2: Share whose sign is right, negative or not.
        acc_2_nonzero: Share whose sign is right, positive or not, of examples whose label is not 0; 0 if there are none.
        f1_nonzero: F1 of the same, averaged over the two classes by their size.
        acc_7: Share that is right when both are rounded to whole numbers from -3 to 3.
        """
        from sklearn.metrics import f1_score  # evaluation alone needs scikit-learn

        label, predicted = (predictions[name].astype(np.float64) for name in ("label", "predicted"))
        clear = label != 0
        positive, called_positive = label[clear] > 0, predicted[clear] > 0
        f1 = f1_score(positive, called_positive, average="weighted", zero_division=0) if clear.any() else 0.0
        steps, called_steps = (np.round(np.clip(numbers, -3, 3)) for numbers in (label, predicted))
        return super().metrics(predictions) | {
            "acc_2": float(((label >= 0) == (predicted >= 0)).mean()),
            "acc_2_nonzero": float((positive == called_positive).mean()) if clear.any() else 0.0,
            "f1_nonzero": float(f1),
            "acc_7": float((steps == called_steps).mean()),
        }

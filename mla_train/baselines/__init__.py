"""Simple models that a network has to beat, on the same splits, each chosen on val.

base         What a baseline is, and how all of a task are computed.
linear       Linear models of a table of features, as weights that a network can begin with.
tables       Tables of features of each kind of input.
classical    Baselines of texts, series, features and several inputs.
images       Baselines of images: linear, a support vector machine, a small convolutional network.

scikit-learn and SciPy are imported where a baseline is computed: loading a task to predict must not take their second.
"""

from mla_train.baselines.base import Baseline, Baselines, Limit, compute, majority_or_mean

__all__ = ["Baseline", "Baselines", "Limit", "compute", "majority_or_mean"]

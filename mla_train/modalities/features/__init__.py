"""Numbers that were computed elsewhere: a vector an example, or a sequence of vectors."""

from mla_train.modalities.features.preprocess import FeatureColumn, Features, FeatureTensors
from mla_train.modalities.features.spec import FeatureSpec

__all__ = ["FeatureColumn", "FeatureSpec", "FeatureTensors", "Features"]

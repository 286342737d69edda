"""Features that were computed elsewhere: one vector for each example, or a sequence of vectors."""

from mla_train.modalities.features.preprocess import FeatureColumn, Features
from mla_train.modalities.features.spec import FeatureSpec
from mla_train.modalities.features.tensors import FeatureTensors

__all__ = ["FeatureColumn", "FeatureSpec", "FeatureTensors", "Features"]

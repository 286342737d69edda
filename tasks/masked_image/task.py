"""Images whose hidden squares are filled in."""

from mla_train.masked_patches import MaskedPatchTask
from mla_train.modalities import Image


class MaskedImage(MaskedPatchTask):
    """Images whose hidden squares are filled in."""

    inputs = {"image": Image}

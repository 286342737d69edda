"""Series whose hidden patches are filled in."""

from mla_train.masked_patches import MaskedPatchTask
from mla_train.modalities import Series


class MaskedSeries(MaskedPatchTask):
    """Series whose hidden patches are filled in."""

    inputs = {"series": Series}

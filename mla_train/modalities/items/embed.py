"""From numbers of items to tokens, and beside the encoder item-kNN."""

import torch
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.modalities.base import Embedding, ModalityFeatures
from mla_train.modalities.items.neighbours import Neighbours
from mla_train.modalities.items.spec import PADDING, ItemSpec, ItemTensors
from mla_train.nn import ReconstructionTarget

GAPS = 32  # classes of the time between two items


class ItemEmbedding(Embedding):
    """Items, and the time since the one before.

    Attributes:
        log_popularity: Logarithm of each item's share of all events, `(catalogue,)`: what is known of new users.
    """

    log_popularity: Tensor

    def __init__(self, config: TrainConfig, spec: ItemSpec) -> None:
        super().__init__()
        options, dim, size = config.task, config.encoder.dim, len(spec.catalogue)
        self.spec, self.reconstruction_size, self.scale = spec, size + 1, dim**0.5
        self.items = nn.Embedding(size + 1, dim, padding_idx=PADDING)
        nn.init.normal_(self.items.weight, std=0.02)
        self.gaps = nn.Embedding(GAPS, dim) if spec.gaps else None
        if self.gaps is not None:
            nn.init.zeros_(self.gaps.weight)
        self.register_buffer("log_popularity", torch.tensor(spec.counts, dtype=torch.float).log().log_softmax(0))
        self.side_paths = nn.ModuleDict()
        if getattr(options, "side_paths", True) and getattr(options, "neighbours", 0):
            self.side_paths["neighbours"] = Neighbours(size, min(options.neighbours, spec.users), spec.longest)

    def forward(self, tensors: ItemTensors) -> ModalityFeatures:
        """Tokens `(batch, length, dim)`."""
        x = self.items(tensors.items) * self.scale
        if self.gaps is not None:
            x = x + self.gaps(tensors.gaps)
        return ModalityFeatures(x, tensors.padding)

    def reconstruction_target(self, tensors: ItemTensors) -> ReconstructionTarget:
        """Items that are no padding."""
        return ReconstructionTarget(tensors.items, tensors.items > PADDING)

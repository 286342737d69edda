"""Curves of attention during training: entropy and redundancy of heads, effective rank of latents."""

from collections import defaultdict
from statistics import fmean
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from mla_train.dataset import Dataset
from mla_train.model import Model
from mla_train.nn import EncoderBlock, observe
from mla_train.nn.attention.observation import POINTS
from mla_train.nn.head_statistics import head_statistics
from mla_train.training.module import TrainingModule

EXAMPLES = 8


class AttentionStatistics(Callback):
    """Logs `attention/*` after each validation, for the same few validation examples.

    It comes before callbacks that swap averaged weights back, so that it reads the weights that are validated.

    Args:
        data: Data set with the validation split.
    """

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Reads the examples one by one: none is padded, and little memory is needed."""
        assert isinstance(module, TrainingModule)
        if trainer.state.fn != "fit" or not trainer.is_global_zero:
            return
        count = len(self.data.val)
        indices = np.unique(np.linspace(0, count - 1, min(EXAMPLES, count)).astype(int))
        batches = (self.data.collate([self.data.val[int(index)]], training=False) for index in indices)
        with trainer.precision_plugin.val_step_context():
            statistics = attention_statistics(module.model, [batch.to(module.device) for batch in batches])
        if statistics:
            module.log_everywhere(statistics)


@torch.no_grad()
def attention_statistics(model: Model, batches: list[Any]) -> dict[str, float]:
    """Means over heads, calls and examples, for each layer of the encoder, counted from 1; each batch is one example.

    Returns:
        `attention/entropy_N` from 0 (a single key) to 1 (uniform), `attention/redundancy_N` (|cosine| of the outputs of
        two heads) and `attention/effective_rank_N` (of the key-value latent); what a layer does not have is left out.
    """
    layers = [each.attention for each in model.modules() if isinstance(each, EncoderBlock)]
    values: defaultdict[str, list[float]] = defaultdict(list)
    for batch in batches:
        with observe(layers, *POINTS) as records:
            model(batch)
        for number, record in enumerate(records, 1):
            for call in range(len(record.calls)):
                heads = head_statistics(record, None, call)
                values[f"attention/entropy_{number}"] += heads.entropy
                values[f"attention/redundancy_{number}"] += heads.redundancy or []
                if heads.effective_rank is not None:
                    values[f"attention/effective_rank_{number}"].append(heads.effective_rank)
    return {name: fmean(numbers) for name, numbers in values.items() if numbers}

"""Where attention looks, as curves: how widely heads of the encoder look, how alike they are, how full latents are."""

from collections import defaultdict
from statistics import fmean
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from mla_train.data.module import DataModule
from mla_train.nn import EncoderBlock
from mla_train.nn.head_statistics import head_statistics, watch
from mla_train.training.task import Task

EXAMPLES = 8


class AttentionCurves(Callback):
    """Logs `attention/*` after each validation, of the same few validation examples.

    It stands in front of callbacks that take averaged weights back, so that it sees the weights that are validated.

    Args:
        data: Whose validation split.
    """

    def __init__(self, data: DataModule) -> None:
        self.data = data

    def on_validation_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Looks at the examples one by one: none is padded, and little memory is needed."""
        assert isinstance(task, Task)
        if trainer.state.fn != "fit" or not trainer.is_global_zero:
            return
        count = len(self.data.val)
        places = np.unique(np.linspace(0, count - 1, min(EXAMPLES, count)).astype(int))
        batches = (self.data.collate([self.data.val[int(place)]], training=False) for place in places)
        with trainer.precision_plugin.val_step_context():
            found = attention_statistics(task, [batch.to(task.device) for batch in batches])
        if found:
            task.log_everywhere(found)


@torch.no_grad()
def attention_statistics(task: Task, batches: list[Any]) -> dict[str, float]:
    """Means over heads, calls and examples, for each layer of the encoder, counted from 1.

    Args:
        task: In evaluation mode.
        batches: Of one example each.

    Returns:
        `attention/entropy_N` from 0 (one key alone) to 1 (all alike), `attention/redundancy_N` (|cosine| of what two
        heads say) and `attention/effective_rank_N` (of the key-value latent); what a layer does not have is left out.
    """
    layers = [module.attention for module in task.modules() if isinstance(module, EncoderBlock)]
    found: defaultdict[str, list[float]] = defaultdict(list)
    for batch in batches:
        with watch(layers) as watched:
            task(batch)
        for number, seen in enumerate(watched, 1):
            for call in range(len(seen.weights)):
                heads = head_statistics(seen, None, call)
                found[f"attention/entropy_{number}"] += heads.entropy
                found[f"attention/redundancy_{number}"] += heads.redundancy or []
                if heads.effective_rank is not None:
                    found[f"attention/effective_rank_{number}"].append(heads.effective_rank)
    return {name: fmean(values) for name, values in found.items() if values}

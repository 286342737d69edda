"""Parameter groups of the optimizer, and the learning-rate schedule."""

from collections.abc import Callable
from math import cos, pi

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from mla_train.config import Optimizer, OptimizerConfig, Schedule, TrainConfig
from mla_train.training.fine_tuning import rate_factor


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW or SGD; only matrices and convolutions decay, embeddings, norms and biases do not.

    Weights without gradients are left out. With `init.layer_decay` each layer has groups of its own, the head's first.
    """
    spared = {
        id(parameter)
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
        if parameter.dim() < 2 or not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
    }
    members: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = rate_factor(name.removeprefix("model."), config), id(parameter) not in spared
            members.setdefault(key, []).append(parameter)
    decay = config.regularization.weight_decay
    groups = [
        {"params": members[key], "lr": config.lr * key[0], "weight_decay": decay * key[1]}
        for key in sorted(members, reverse=True)
    ]
    o = config.optimizer
    if o.name is Optimizer.sgd:
        return torch.optim.SGD(groups, lr=config.lr, momentum=o.beta1, nesterov=o.beta1 > 0)
    fused = config.hardware.precision != "16-mixed"  # a fused step undoes loss scaling itself, after clipping
    return torch.optim.AdamW(groups, lr=config.lr, betas=(o.beta1, o.beta2), fused=fused)


def learning_rate_factor(config: OptimizerConfig, steps: int) -> Callable[[int], float]:
    """Learning rate divided by its peak at each step: a linear warm-up, then the decay of the schedule."""
    warmup = round(config.warmup * steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = min(1.0, (step - warmup) / max(1, steps - 1 - warmup))
        falling = {
            Schedule.cosine: (1 + cos(pi * done)) / 2,
            Schedule.linear: 1 - done,
            Schedule.constant: 1.0,
        }[config.schedule]
        return config.final_lr + (1 - config.final_lr) * falling

    return factor


def build_schedule(optimizer: torch.optim.Optimizer, config: OptimizerConfig, steps: int) -> LambdaLR:
    """The learning-rate schedule; see `learning_rate_factor`."""
    return LambdaLR(optimizer, learning_rate_factor(config, steps))

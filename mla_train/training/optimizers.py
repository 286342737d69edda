"""Parameter groups of the optimizer, and the learning-rate schedule."""

from collections.abc import Callable
from math import cos, pi
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from mla_train.config import Optimizer, OptimizerConfig, Schedule, TrainConfig
from mla_train.training.fine_tuning import rate_factor


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW, SGD or Muon; only matrices and convolutions decay, embeddings, norms and biases do not.

    Weights without gradients are left out. With `init.layer_decay` each layer has groups of its own, the head's first.
    """
    spared = {
        id(parameter)
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
        if parameter.dim() < 2 or not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
    }
    o = config.optimizer
    members = dict[tuple[float, bool, bool], list[nn.Parameter]]()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = id(parameter) not in spared
            turned = o.name is Optimizer.muon and decays and parameter.dim() == 2 and ".blocks." in name
            key = rate_factor(name.removeprefix("model."), config), decays, turned
            members.setdefault(key, []).append(parameter)
    # With cautious decay the optimizer itself has none.
    decay = 0.0 if o.cautious_decay else config.regularization.weight_decay
    all_groups = {
        key: {"params": members[key], "lr": config.lr * key[0], "weight_decay": decay * key[1]}
        for key in sorted(members, reverse=True)
    }
    cautious = [parameter for key, each in members.items() if key[1] for parameter in each]
    optimizer = _of_groups(all_groups, config)
    if o.cautious_decay:
        decay_with_caution(optimizer, cautious, config.regularization.weight_decay)
    return optimizer


def _of_groups(
    all_groups: dict[tuple[float, bool, bool], dict[str, Any]], config: TrainConfig
) -> torch.optim.Optimizer:
    o = config.optimizer
    groups = [group for key, group in all_groups.items() if not key[2]]
    if o.name is Optimizer.sgd:
        return torch.optim.SGD(groups, lr=config.lr, momentum=o.beta1, nesterov=o.beta1 > 0)
    fused = config.hardware.precision != "16-mixed"  # a fused step undoes loss scaling itself, after clipping
    adamw = torch.optim.AdamW(groups, lr=config.lr, betas=(o.beta1, o.beta2), fused=fused)
    matrices = [group for key, group in all_groups.items() if key[2]]
    if not matrices:  # a network without blocks, or with frozen ones
        return adamw
    return Joined(torch.optim.Muon(matrices, lr=config.lr, adjust_lr_fn="match_rms_adamw"), adamw)


def decay_with_caution(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], decay: float) -> None:
    """Lets weights decay in each step where the step has made them smaller (Chen et al. 2025, arXiv 2510.12402).

    Args:
        optimizer: Optimizer of these weights and others, without a decay of its own.
        weights: Weights that decay.
        decay: Decay, times the learning rate of a weight.
    """
    before: list[Tensor] = []

    def keep(*_: Any) -> None:
        before[:] = [weight.detach().clone() for weight in weights]

    def decayed(*_: Any) -> None:
        with torch.no_grad():
            rates = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
            for weight, old in zip(weights, before, strict=True):
                smaller = (old - weight) * old > 0
                weight.sub_(rates[id(weight)] * decay * smaller * old)
        before.clear()

    optimizer.register_step_pre_hook(keep)
    optimizer.register_step_post_hook(decayed)


class Joined(torch.optim.Optimizer):
    """Muon for some weights and AdamW for the others, as one optimizer: their groups and their state are its own.

    Muon's updates have the size of AdamW's (Liu et al. 2025, arXiv 2502.16982), so that one learning rate serves both.
    """

    def __init__(self, muon: torch.optim.Optimizer, adamw: torch.optim.Optimizer) -> None:
        self.muon, self.adamw = muon, adamw
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        self._share()

    def _share(self) -> None:
        self.muon.param_groups = [group for group in self.param_groups if "momentum" in group]
        self.adamw.param_groups = [group for group in self.param_groups if "momentum" not in group]
        self.muon.state = self.adamw.state = self.state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Loading a state replaces groups and state."""
        super().__setstate__(state)
        self._share()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both; the closure computes gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.muon.step()
        self.adamw.step()
        return loss


def learning_rate_factor(config: OptimizerConfig, steps: int) -> Callable[[int], float]:
    """Learning rate divided by its peak at each step: a linear warm-up, then the decay of the schedule."""
    warmup = round(config.warmup * steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = min(1.0, (step - warmup) / max(1, steps - 1 - warmup))
        falling_steps = max(1, round(config.decay * steps))
        falling = {
            Schedule.wsd: min(1.0, max(0, steps - 1 - step) / falling_steps),
            Schedule.cosine: (1 + cos(pi * done)) / 2,
            Schedule.linear: 1 - done,
            Schedule.constant: 1.0,
        }[config.schedule]
        return config.final_lr + (1 - config.final_lr) * falling

    return factor


def build_schedule(
    optimizer: torch.optim.Optimizer, config: OptimizerConfig, steps: int, step_of: Callable[[int], int]
) -> LambdaLR:
    """The learning-rate schedule, see `learning_rate_factor`; `step_of` is the step of the schedule at one of the optimizer."""
    factor = learning_rate_factor(config, steps)
    return LambdaLR(optimizer, lambda step: factor(step_of(step)))

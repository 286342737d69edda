"""Which weights of a started network are trained, and at what share of the learning rate.

Layers are counted from the embeddings of inputs (0) over the blocks of the encoder (1 to its depth) to all above them: its last
norm, the head, the side paths.
"""

import re

from torch import nn

from mla_train.config import Freeze, TrainConfig
from mla_train.errors import require

EMBEDDING = re.compile(r"embeddings\.\w+\.(?!side_paths\.)|input_type\.")
FROZEN = {
    Freeze.attention: re.compile(r"encoder\.(.+[._])?attention\."),
    Freeze.encoder: re.compile(r"encoder\."),
    Freeze.embedding: EMBEDDING,
    Freeze.all_but_head: re.compile(rf"encoder\.|fusion\.|{EMBEDDING.pattern}"),
}
"""Beginnings of the names of the weights that a choice of `init.freeze` freezes."""


def layer_of(name: str, depth: int) -> int:
    """Layer of a weight of the network: 0 for embeddings, the number of its block from 1, or depth + 1.

    Args:
        name: Name of the weight in `Model`.
        depth: Number of blocks of the encoder.
    """
    block = re.match(r"encoder\.(?:blocks|convolutions)\.(\d+)\.", name)
    if block:
        return int(block[1]) + 1
    return 0 if EMBEDDING.match(name) or name.startswith(("encoder.array.", "encoder.token_masking.")) else depth + 1


def rate_factor(name: str, config: TrainConfig) -> float:
    """Learning rate of a weight of the network divided by that of the head, see `init.layer_decay`."""
    depth = config.encoder.depth
    return float(config.init.layer_decay ** (depth + 1 - layer_of(name, depth)))


def is_frozen(name: str, config: TrainConfig, epoch: int) -> bool:
    """Whether a weight of the network is not trained in an epoch, counted from 0."""
    options, depth = config.init, config.encoder.depth
    if options.freeze is Freeze.none or not FROZEN[options.freeze].match(name):
        return False
    top = 0 if options.freeze is Freeze.embedding else depth
    return not options.unfreeze_epochs or epoch < options.unfreeze_epochs + max(0, top - layer_of(name, depth))


def freeze(model: nn.Module, config: TrainConfig, epoch: int = 0) -> None:
    """Lets the frozen weights of a network have no gradients in an epoch.

    Raises:
        UserError: Nothing is frozen, or nothing is trained.
    """
    if config.init.freeze is Freeze.none:
        return
    chosen, trained = f"init.freeze={config.init.freeze.value}", 0
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not is_frozen(name, config, epoch))
        trained += parameter.requires_grad
    require(bool(trained), f"{chosen} leaves nothing to train: set init.freeze=none, or a smaller part")


def describe_frozen(model: nn.Module, config: TrainConfig) -> list[str]:
    """What is frozen at the start, as lines for the user.

    Raises:
        UserError: The network has no such weights.
    """
    options = config.init
    if options.freeze is Freeze.none:
        return []
    sizes = [each.numel() for name, each in model.named_parameters() if is_frozen(name, config, 0)]
    require(bool(sizes), f"init.freeze={options.freeze.value}: this network has no such weights; set init.freeze=none")
    until = f" for {options.unfreeze_epochs} epochs, then trained from the top block down" * bool(
        options.unfreeze_epochs
    )
    return [f"{sum(sizes):,} weights are frozen{until} (init.freeze={options.freeze.value})"]

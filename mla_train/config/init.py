"""Options of a start from another run: which weights are taken, which are frozen, and how fast the others learn."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mla_train.config.checks import number
from mla_train.errors import require


class InitPart(Enum):
    """Part of a network whose weights another run can give."""

    encoder = "encoder"
    embedding = "embedding"
    decoder = "decoder"


class Freeze(Enum):
    """Weights that are not trained; all_but_head trains the head and the side paths alone."""

    none = "none"
    attention = "attention"
    encoder = "encoder"
    embedding = "embedding"
    all_but_head = "all_but_head"


class _Source:
    """The option `from`, a keyword of Python: no statement can name it, so that it stays out of what `dataclass` writes."""

    __annotations__ = {"from": str | None}


setattr(_Source, "from", field(default=None, init=False, repr=False, compare=False))
dataclass(_Source)


@dataclass
class InitConfig(_Source):
    """Start from the weights of another run.

    Attributes:
        from: Run folder, model folder, or repository `user/model` of the Hugging Face Hub whose weights the run starts from;
            null starts anew.
        parts: Parts that are taken: encoder, embedding (of inputs of the same name and kind, with the vocabulary and scale that
            belong to it), decoder.
        partial: Whether weights that do not fit are left out; false refuses them.
        freeze: Weights that are not trained.
        unfreeze_epochs: Epochs after which frozen weights are trained too, the top block first and one block more each epoch;
            0 keeps them frozen.
        layer_decay: Learning rate of each block divided by that of the block above it; the head has the whole rate.
    """

    parts: list[InitPart] = field(default_factory=lambda: [InitPart.encoder, InitPart.embedding])
    partial: bool = False
    freeze: Freeze = Freeze.none
    unfreeze_epochs: int = number(0, least=0)
    layer_decay: float = number(1.0, above=0, usual="0.6 to 0.9")

    @property
    def source(self) -> Any:
        """The option `from`."""
        return getattr(self, "from")

    def takes(self, part: InitPart) -> bool:
        """Whether a part comes from another run."""
        return self.source is not None and part in self.parts

    def check(self) -> None:
        """Refuses options without a meaning."""
        require(bool(self.parts), "init.parts is empty: name encoder, embedding or decoder, or leave init.from out")
        require(
            self.freeze is not Freeze.none or not self.unfreeze_epochs,
            f"init.unfreeze_epochs={self.unfreeze_epochs} needs frozen weights: add init.freeze=encoder",
        )
        require(self.layer_decay <= 1, f"init.layer_decay={self.layer_decay:g}: must be 1 or less, 0.6 to 0.9 is usual")

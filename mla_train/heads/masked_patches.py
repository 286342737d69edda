"""Hidden patches of an image or a series: the encoder reads the others, and a light decoder says what stood there.

A masked autoencoder (He et al. 2021, arXiv 2111.06377). What is hidden is taken out of the input itself, so that no
convolution in front of the encoder sees it, and the encoder reads the tokens of the others alone. Blocks that read each
token with those beside it get all tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mla_train.config import Block, Latent, MaskedPatchOptions, Pattern, TrainConfig
from mla_train.data.batch import Batch
from mla_train.heads.base import Embeddings, Predictions, columns_of
from mla_train.heads.unlabelled import Unlabelled, sums_by_example
from mla_train.modalities.base import ModalityFeatures
from mla_train.nn import Encoder, ReconstructionTarget
from mla_train.nn.perceiver import FourierPosition


@dataclass
class MaskedPatchSpec:
    """What is hidden.

    Attributes:
        input: Name of the input.
        rate: Share of the patches that are hidden.
    """

    input: str = ""
    rate: float = 0.5


@dataclass
class Hidden:
    """What was hidden of a batch, and where the tokens that the encoder read belong.

    Attributes:
        target: Numbers of all patches.
        patches: True where a patch is hidden, `(batch, patches)`.
        visible: True where the encoder read a patch, `(batch, patches)`.
        order: Place of each token that the encoder read, `(batch, read)`; None where it read all.
        positions: Positions of all patches, as `ModalityFeatures.positions`.
        padding: True where there is no patch, `(batch, patches)`.
        embedded: Embedded patches, of which those that are hidden say what is known of their places.
        scale: Mean and standard deviation of the numbers of each patch, as `Embedding.scale_of`.
    """

    target: ReconstructionTarget
    patches: Tensor
    visible: Tensor
    order: Tensor | None
    positions: Tensor
    padding: Tensor
    embedded: ModalityFeatures
    scale: tuple[Tensor, Tensor] | None


@dataclass
class Filled:
    """What was foreseen.

    Attributes:
        values: Numbers of the hidden patches, `(hidden, size)`.
        true: What they were, `(hidden, size)`.
        known: True where there was a number, `(hidden, size)`.
        patches: True where a patch is hidden, `(batch, patches)`.
    """

    values: Tensor
    true: Tensor
    known: Tensor
    patches: Tensor


class MaskedPatches(Unlabelled):
    """Numbers of hidden patches, in units of the data's standard deviation; squared error.

    An example may have several rows of tokens, as a window of several series has.
    """

    kind = "masked_patches"
    spec_class = MaskedPatchSpec
    directions = {"mse": "min", "r2": "max"}
    monitor = "mse"
    units = {"mse": "variance"}
    units_note = "variance: share of the variance of the training data"

    def __init__(
        self, config: TrainConfig, spec: MaskedPatchSpec, embeddings: Embeddings, sequences: bool = False
    ) -> None:
        super().__init__()
        options: Any = config.task
        assert isinstance(options, MaskedPatchOptions)
        self.spec = spec
        (embedding,) = embeddings.values()
        dim = config.encoder.dim
        plain = replace(
            config.encoder,
            depth=options.decoder_depth,
            block=Block.attention,
            latent=Latent.plain,
            masked_modeling=False,
        )
        self.leaves_out = config.encoder.block is Block.attention and config.attention.pattern is Pattern["global"]
        self.hidden = nn.Parameter(torch.randn(dim) * 0.02)
        # Rotary positions say how far patches are apart, and not where they are.
        self.positions = FourierPosition(dim, embedding.axes, config.attention.rope_theta)
        self.decoder = Encoder(plain, config.attention, config.regularization, embedding.axes)
        self.project = nn.Linear(dim, embedding.reconstruction_size)

    # Targets: a number for each example, from which its hidden patches are drawn.

    @classmethod
    def prepare_targets(
        cls, spec: Any, targets: Any, split: str, inputs: Any, columns: Any, notes: list[str]
    ) -> np.ndarray:
        """The place of each example: val and test hide the same patches each time."""
        return np.arange(len(targets))

    @classmethod
    def collate(cls, spec: Any, targets: Sequence[Any], training: bool) -> Tensor:
        """Numbers of the examples, `(batch,)`; random ones in training."""
        return torch.randint(2**31, (len(targets),)) if training else torch.tensor([int(each) for each in targets])

    # The network.

    def embed(self, name: str, embedding: Any, batch: Batch) -> ModalityFeatures:
        """Tokens of the patches that the encoder reads, `(batch, read, dim)`."""
        tensors = batch.inputs[name]
        target = embedding.reconstruction_target(tensors)
        seeds = [0] * len(batch) if batch.targets is None else batch.targets.tolist()
        hidden = hidden_patches(seeds, target.known.any(-1), self.spec.rate)
        features: ModalityFeatures = embedding(embedding.hide(tensors, hidden))
        scale = embedding.scale_of(features)
        tokens = features.tokens
        assert tokens is not None
        padding = features.padding
        padding = torch.zeros_like(hidden) if padding is None else padding
        positions = features.positions
        if positions is None:
            positions = torch.arange(tokens.size(1), device=tokens.device)
        if not self.leaves_out:
            return replace(
                features, context=Hidden(target, hidden, ~padding, None, positions, padding, features, scale)
            )
        visible = ~(hidden | padding)
        order = (~visible).to(torch.uint8).argsort(dim=1, stable=True)[:, : max(1, int(visible.sum(1).max()))]
        return replace(
            features,
            tokens=tokens.gather(1, order.unsqueeze(-1).expand(-1, -1, tokens.size(-1))),
            padding=~visible.gather(1, order),
            positions=positions[order],
            context=Hidden(target, hidden, visible, order, positions, padding, features, scale),
        )

    def forward(self, features: dict[str, ModalityFeatures], batch: Batch) -> Filled:
        """What stood in the hidden patches."""
        each = features[self.spec.input]
        tokens, hidden = each.tokens, each.context
        assert tokens is not None
        places = self.places(hidden).to(tokens.dtype)
        if hidden.order is None:
            x = tokens + places * hidden.patches.unsqueeze(-1)
        else:
            read = places.scatter(1, hidden.order.unsqueeze(-1).expand_as(tokens), tokens)
            x = torch.where(hidden.visible.unsqueeze(-1), read, places)
        x = x + self.positions(hidden.positions)
        decoded = self.decoder(x, hidden.positions, hidden.padding if bool(hidden.padding.any()) else None)
        true, known = hidden.target.values, hidden.target.known
        some = hidden.patches
        values = self.project(decoded[some])
        if hidden.scale is not None:
            mean, std = hidden.scale
            values = values * std[some] + mean[some]
        return Filled(values, true[some], known[some], some)

    def places(self, hidden: Hidden) -> Tensor:
        """What the decoder reads where a patch is hidden, `(batch, patches, dim)`."""
        return self.hidden.expand(*hidden.patches.shape, -1)

    def loss(self, outputs: Filled, batch: Batch) -> tuple[Tensor, Tensor]:
        """Squared error, and how many numbers were hidden."""
        error = (outputs.values.float() - outputs.true.float()).square()
        return error.masked_fill(~outputs.known, 0).sum(), outputs.known.sum().clamp(min=1)

    def r_drop_loss(self, first: Filled, second: Filled, batch: Batch) -> Tensor:
        """The divergence of two normal distributions of standard deviation 1 around both numbers."""
        return ((first.values - second.values) ** 2).masked_fill(~first.known, 0).sum() / 4

    # Answers.

    def predict(
        self, outputs: Filled, features: dict[str, ModalityFeatures], batch: Batch, val_size: int | None = None
    ) -> Predictions:
        """How many numbers of each example were hidden, `numbers`, and sums over them: `error` and `size`, squared."""
        known, true = outputs.known, outputs.true.float()
        error = (outputs.values.float() - true).square()

        def summed(values: Tensor) -> np.ndarray:
            rows = sums_by_example(values.masked_fill(~known, 0).double().sum(1), outputs.patches)
            return rows.reshape(len(batch), -1).sum(1)

        return {"numbers": summed(known), "error": summed(error), "size": summed(true.square())}

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Mean squared error of a hidden number in units of the training data's variance, and R squared about its mean."""
        return metrics_of_sums(*(predictions[name].sum() for name in ("numbers", "error", "size")))

    def metrics_of_draws(self, predictions: Predictions, draws: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
        """See `Head.metrics_of_draws`."""
        columns = [predictions[name] for name in ("numbers", "error", "size")]
        return columns_of([metrics_of_sums(*(column[places].sum() for column in columns)) for places in draws])

    def decode(self, predictions: Predictions) -> list[dict[str, Any]]:
        """Mean squared error of the hidden part: what is unlike the training data has a large one."""
        errors = predictions["error"] / np.maximum(predictions["numbers"], 1)
        return [{"prediction": float(f"{error:.4g}")} for error in errors]

    def decode_labels(self, predictions: Predictions) -> list[None]:
        """There are none."""
        return [None] * len(predictions["error"])

    def example_error(self, record: Mapping[str, Any]) -> float:
        """Mean squared error."""
        return float(record["prediction"])


def metrics_of_sums(numbers: float, error: float, size: float) -> dict[str, float]:
    """Metrics of sums over examples; see `MaskedPatches.metrics`."""
    return {"mse": float(error) / max(float(numbers), 1.0), "r2": 1 - float(error) / max(float(size), 1e-12)}


def hidden_patches(seeds: Sequence[int], present: Tensor, rate: float) -> Tensor:
    """Chooses patches to hide: at least one, and not all where there are two.

    Args:
        seeds: Number of each example, which alone decides what is hidden, `(batch,)`.
        present: True where there is a patch, `(rows, patches)`; each example has as many rows.
        rate: Share of the patches that are hidden.

    Returns:
        True at hidden patches, `(rows, patches)`.
    """
    rows = [(seed, row) for seed in seeds for row in range(len(present) // len(seeds))]
    drawn = np.stack([np.random.default_rng(row).random(present.size(1)) for row in rows])
    chance = torch.from_numpy(drawn).to(present.device).masked_fill(~present, 2.0)
    total = present.sum(1)
    count = (total * rate).round().clamp(min=1).minimum(total - 1)
    return chance.argsort(1).argsort(1) < count.unsqueeze(1)

"""One vector of each input, and an answer that is the mean of the scores of these vectors."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mla_train.config import Fusion, Latent, Pooling, TrainConfig
from mla_train.data.batch import Batch
from mla_train.heads.base import Embeddings, Head
from mla_train.modalities.base import ModalityFeatures, mean_of_windows
from mla_train.nn import AttentionPooling, ClassToken, Dropout, Encoder, MeanPooling


def build_pooling(kind: Pooling, dim: int) -> nn.Module:
    """From tokens of some width to one vector an example."""
    if kind is Pooling.mean:
        return MeanPooling()
    return ClassToken(dim) if kind is Pooling.cls else AttentionPooling(dim)


class PooledHead(Head):
    """Base of heads that give one answer an example.

    With several inputs the scores are a mean over the inputs that are present, each scored by its own vector. A sum would
    be too confident: under `task.unimodal_loss_weight` the scores of each input are scaled to be an answer by themselves.
    Examples of a sequence see each other.
    """

    def __init__(self, config: TrainConfig, spec: Any, embeddings: Embeddings, sequences: bool = False) -> None:
        super().__init__()
        self.spec, options, dim = spec, config.task, config.encoder.dim
        self.label_smoothing = config.regularization.label_smoothing
        self.unimodal_loss_weight = getattr(options, "unimodal_loss_weight", 0.0)
        outputs = self.count_outputs(spec)
        self.use_encoder = getattr(options, "use_encoder", True)
        kind = getattr(options, "pooling", Pooling.attention)
        pooled = embeddings if self.use_encoder else ()
        self.poolings = nn.ModuleDict({name: build_pooling(kind, dim) for name in pooled})
        widths = {name: embedding.side_dim + dim * self.use_encoder for name, embedding in embeddings.items()}
        # Several inputs share one bias: their answers are averaged.
        several = len(widths) > 1 or sequences
        self.layers = nn.ModuleDict({n: nn.Linear(w, outputs, bias=not several) for n, w in widths.items()})
        for parameter in self.layers.parameters():
            nn.init.zeros_(parameter)
        self.bias = nn.Parameter(torch.zeros(outputs)) if several else None
        self.gates: nn.ModuleDict | None = None
        if len(widths) > 1 and getattr(options, "fusion", None) is Fusion.weighted:
            self.gates = nn.ModuleDict({name: nn.Linear(width, 1) for name, width in widths.items()})
        self.context = SequenceContext(config, sum(widths.values()), outputs) if sequences else None
        dropout = getattr(options, "feature_dropout", None)
        # No call where nothing is dropped: dropping with probability 0 draws random numbers too.
        self.dropout = nn.Identity() if dropout is None else Dropout(dropout * bool(config.regularization.dropout))

    @classmethod
    @abstractmethod
    def count_outputs(cls, spec: Any) -> int:
        """Number of outputs an example."""

    @torch.no_grad()
    def set_linear(self, weights: dict[str, Tensor], bias: Tensor) -> None:
        """Begins as a linear model of side features, whose layers are all zero before.

        Args:
            weights: Weights of the first side features of an input, `(features, outputs)`.
            bias: `(outputs,)`.
        """
        for name, weight in weights.items():
            layer: Any = self.layers[name]
            layer.weight[:, : len(weight)] = len(self.layers) * weight.T  # outputs are a mean over inputs
        own: Any = self.bias if self.bias is not None else next(iter(self.layers.values())).bias
        own.copy_(bias)

    def prepend(self, name: str, features: ModalityFeatures) -> ModalityFeatures:
        """Puts the class token in front of the tokens of an input, at position -1."""
        pooling = self.poolings[name] if self.use_encoder else None
        if not isinstance(pooling, ClassToken) or features.tokens is None:
            return features
        padding, positions = features.padding, features.positions
        if padding is not None:  # where the input is missing, so is its class token
            padding = torch.cat([padding.all(1, keepdim=True), padding], 1)
        if positions is not None:
            positions = torch.cat([torch.full_like(positions[:1], -1), positions])
        return replace(features, tokens=pooling.prepend(features.tokens), padding=padding, positions=positions)

    @property
    def prepended(self) -> int:
        """Number of tokens put in front of those of an input."""
        return int(any(isinstance(pooling, ClassToken) for pooling in self.poolings.values()))

    def forward(self, features: dict[str, ModalityFeatures], batch: Batch) -> Tensor:
        """Scores, `(batch, outputs)`."""
        vectors = {name: self.dropout(self._vector(name, each)) for name, each in features.items()}
        if self.bias is None:
            ((name, vector),) = vectors.items()
            return self.layers[name](vector)
        scores = torch.stack([self.layers[name](vector) for name, vector in vectors.items()], 1)
        total = (scores * self.input_weights(vectors, features).unsqueeze(-1)).sum(1) + self.bias
        if self.context is not None:
            assert batch.sequence is not None
            total = total + self.context(torch.cat(list(vectors.values()), -1), batch.sequence)
        return total

    def _vector(self, name: str, features: ModalityFeatures) -> Tensor:
        """Side features and pooled tokens of one input, `(batch, width)`."""
        parts = [] if features.side is None else [features.side]
        if self.use_encoder:
            assert features.tokens is not None
            parts.append(mean_of_windows(self.poolings[name](features.tokens, features.padding), features.windows))
        return torch.cat(parts, -1)

    def input_weights(self, vectors: dict[str, Tensor], features: dict[str, ModalityFeatures]) -> Tensor:
        """Weight of each input, `(batch, inputs)`: alike, or by gates of their vectors `(batch, width)`.

        They sum to 1 over the inputs that are present, which are not all padding.
        """
        missing = torch.stack([_is_missing(features[name], vector) for name, vector in vectors.items()], -1)
        scores = torch.zeros_like(missing, dtype=next(iter(vectors.values())).dtype)
        if self.gates is not None:
            scores = torch.cat([self.gates[name](vector) for name, vector in vectors.items()], -1)
        weights = scores.masked_fill(missing, torch.finfo(scores.dtype).min).softmax(-1)
        return weights.masked_fill(missing, 0)

    @abstractmethod
    def example_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of each example, `(batch,)`."""

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, int]:
        """Sum of the losses, and the number of examples.

        In training, outputs may be `(1 + inputs, batch, outputs)`: of all inputs together, then of each alone. These count
        where an example has the input: otherwise the input that is learned fastest would leave no gradient for the others
        (Wang et al. 2020, arXiv 1905.12681).
        """
        if outputs.dim() == 2:
            return self.example_loss(outputs, batch.targets).sum(), len(batch)
        present = torch.stack([~tensors.padding.all(1) for tensors in batch.inputs.values()])
        single = torch.stack([self.example_loss(each, batch.targets) for each in outputs[1:]])
        together = self.example_loss(outputs[0], batch.targets).sum()
        return together + self.unimodal_loss_weight * (single * present).sum(), len(batch)


def _is_missing(features: ModalityFeatures, vector: Tensor) -> Tensor:
    if features.padding is None:
        return torch.zeros(vector.size(0), dtype=torch.bool, device=vector.device)
    return features.padding.all(1)


class SequenceContext(nn.Module):
    """Scores that each example, a vector of some width, gets from the others of its sequence."""

    def __init__(self, config: TrainConfig, width: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, config.encoder.dim)
        # A sequence has few examples: no array of latents, no masked modelling.
        shape = replace(config.encoder, depth=1, latent=Latent.plain, masked_modeling=False)
        self.encoder = Encoder(shape, config.attention, config.regularization)
        self.layer = nn.Linear(config.encoder.dim, outputs, bias=False)
        nn.init.zeros_(self.layer.weight)

    def forward(self, vectors: Tensor, sequence: Tensor) -> Tensor:
        """`(batch, width)` to `(batch, outputs)`; the number of each example's sequence `(batch,)` rises from 0."""
        if torch.compiler.is_exporting():  # each example is a sequence of its own, as in prediction
            return self.layer(self.encoder(self.down(vectors).unsqueeze(1)).squeeze(1))
        lengths = torch.bincount(sequence)
        starts = lengths.cumsum(0) - lengths
        place = torch.arange(len(sequence), device=sequence.device) - starts[sequence]
        padded = vectors.new_zeros(len(lengths), int(lengths.max()), self.down.out_features)
        padded[sequence, place] = self.down(vectors)
        padding = torch.arange(padded.size(1), device=sequence.device) >= lengths.unsqueeze(1)
        return self.layer(self.encoder(padded, key_padding_mask=padding)[sequence, place])

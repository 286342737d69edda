"""The network of every task: inputs → tokens → shared encoder → fusion → head. Plain torch, built from specs."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mla_train.config import Architecture, Fusion, TrainConfig
from mla_train.data.batch import Batch
from mla_train.errors import UserError
from mla_train.heads.base import Head, Predictions, padding_of
from mla_train.modalities.base import Embedding, Modality, ModalityFeatures
from mla_train.nn import Dropout, Encoder, ReconstructionInput, ReconstructionTarget
from mla_train.nn.fusion import BottleneckFusion, CrossAttentionFusion
from mla_train.nn.seq2seq import GruEncoder


@dataclass
class ModelSpec:
    """All that the network must know of the data: plain values, kept with the model as JSON.

    Attributes:
        inputs: Each input by name, its kind and spec.
        head: Kind of answer.
        target: Spec of the targets.
        sequences: Whether examples form ordered sequences, such as the utterances of a video.
        columns: Column of the training table that each input was read from, and that of the labels, see `RawData`.
    """

    inputs: dict[str, Modality]
    head: type[Head]
    target: Any
    sequences: bool = False
    columns: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return {
            "inputs": {name: {"kind": each.kind, **asdict(each.spec)} for name, each in self.inputs.items()},
            "head": {"kind": self.head.kind, **asdict(self.target)},
            "sequences": self.sequences,
            "columns": self.columns,
        }


class Model(nn.Module):
    """The network of a task: from a batch to the outputs of its head.

    Args:
        config: Full config of the run.
        spec: Spec of the data.

    Raises:
        ValueError: Sizes do not fit each other.
    """

    def __init__(self, config: TrainConfig, spec: ModelSpec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        options, dim = config.task, config.encoder.dim
        several = len(spec.inputs) > 1
        self.embeddings = nn.ModuleDict({name: each.embedding(config) for name, each in spec.inputs.items()})
        embeddings: dict[str, Any] = dict(self.embeddings)
        self.input_type: nn.Embedding | None = None
        if several:
            self.input_type = nn.Embedding(len(spec.inputs), dim)
            nn.init.normal_(self.input_type.weight, std=0.02)
        self.encoder: Encoder | GruEncoder | None = None
        lacking = [name for name, embedding in embeddings.items() if not embedding.side_paths]
        if getattr(options, "use_encoder", True):
            axes = 2 if several else next(iter(embeddings.values())).rotary_axes
            self.encoder = build_encoder(config, axes)
        elif lacking:
            raise UserError(
                f"task.use_encoder=false leaves nothing that reads {', '.join(lacking)}: add a side path, such as "
                "task.tfidf_dim=64 or task.visual_words=128, or set task.use_encoder=true"
            )
        self.fusion = build_fusion(config) if several and self.encoder is not None else None
        self.head = spec.head(config, spec.target, embeddings, spec.sequences)
        self.head.take_encoder(self.encoder)
        self.head.choose_monitor(getattr(options, "monitor", None))
        rate, feature_dropout = config.regularization.dropout, getattr(options, "feature_dropout", None)
        self.dropout = Dropout(rate if feature_dropout is None or not rate else feature_dropout)
        self.unimodal = bool(getattr(options, "unimodal_loss_weight", 0.0)) and several

    def forward(self, batch: Batch) -> Any:
        """Outputs of the head; training with `task.unimodal_loss_weight` stacks those of each input alone behind them."""
        features, outputs = self.evaluate(batch)
        if not (self.training and self.unimodal):
            return outputs
        return torch.stack([outputs, *(self.decode(only(features, name), batch) for name in features)])

    def evaluate(self, batch: Batch) -> tuple[dict[str, ModalityFeatures], Any]:
        """Encoded inputs of a batch, and the outputs of the head."""
        features = self.encode(batch)
        return features, self.decode(features, batch)

    def encode(self, batch: Batch) -> dict[str, ModalityFeatures]:
        """Encodes each input by itself."""
        encoded = {}
        for number, (name, embedding) in enumerate(self.embeddings.items()):
            features: Any = self.head.embed(name, embedding, batch)
            if self.encoder is None:
                encoded[name] = replace(features, tokens=None)
                continue
            if self.input_type is not None:
                features = replace(features, tokens=features.tokens + self.input_type.weight[number])
            features = self.head.prepend(name, features)
            x: Any = features.tokens
            positions, padding = features.positions, features.padding
            # Without padding there is no mask, and attention is cheaper; an exported graph cannot branch.
            if padding is not None and not torch.compiler.is_exporting() and not bool(padding.any()):
                padding = None
            if positions is None and self.input_type is not None:  # sequences beside images: row 0, column after column
                steps = torch.arange(x.size(1), device=x.device)
                positions = torch.stack([torch.zeros_like(steps), steps], -1)
            if self.head.is_causal:  # no token sees the padding behind it
                tokens = self.encoder(self.dropout(x), positions, is_causal=True)
            else:
                tokens = self.encoder(self.dropout(x), positions, padding)
            encoded[name] = replace(features, tokens=tokens, padding=padding)
        return encoded

    def decode(self, features: dict[str, ModalityFeatures], batch: Batch) -> Any:
        """Outputs of the head for encoded inputs."""
        if self.fusion is not None:
            tokens: dict[str, Any] = {name: each.tokens for name, each in features.items()}
            padding = {name: padding_of(each) for name, each in features.items()}
            fused = self.fusion(tokens, padding)
            features = {name: replace(each, tokens=fused[name]) for name, each in features.items()}
        return self.head(features, batch)

    @torch.no_grad()
    def predict(self, batch: Batch) -> Predictions:
        """Answers of a batch: columns with one row an example."""
        features, outputs = self.evaluate(batch)
        return self.head.predict(outputs, features, batch)

    def reconstruction_inputs(self) -> list[ReconstructionInput]:
        """What each call of the encoder reads, for `encoder.masked_modeling`."""
        inputs = []
        for name, embedding in self.embeddings.items():
            source = embedding.reconstruction_input()  # type: ignore[operator]

            def target(batch: Batch, name: str = name, source: ReconstructionInput = source) -> ReconstructionTarget:
                known = source.target(batch.inputs[name])
                front = (0, 0) * (known.values.dim() - 2) + (self.head.prepended, 0)
                return ReconstructionTarget(F.pad(known.values, front), F.pad(known.known, front))

            inputs.append(ReconstructionInput(source.size, target))
        return inputs

    def count_tokens(self, batch: Batch) -> int:
        """Number of tokens without padding: generated ones, else input tokens."""
        written = self.head.count_tokens(batch)
        if written is not None:
            return written
        embeddings: dict[str, Any] = dict(self.embeddings)
        return sum(embeddings[name].count_tokens(tensors) for name, tensors in batch.inputs.items())

    @property
    def cache_width(self) -> int:
        """Numbers that decoding caches for each token, over all layers."""
        if self.head.cache_width is not None:
            return self.head.cache_width
        return sum(module.cache_width for module in self.modules() if isinstance(module, Encoder))

    def count_parameters(self) -> dict[str, int]:
        """Number of parameters in all, and of the encoder, the head, the inputs and the paths beside the encoder."""
        side = sum(_size(each.side_paths) for each in self.embeddings.values() if isinstance(each, Embedding))
        encoder, total = _size(self.encoder), _size(self)
        inputs = _size(self.embeddings) + _size(self.input_type) - side
        head = total - encoder - side - inputs
        return {"parameters": total, "encoder": encoder, "side_paths": side, "inputs": inputs, "head": head}


def build_encoder(config: TrainConfig, axes: int) -> Encoder | GruEncoder:
    """The encoder: attention blocks with so many axes of rotary positions, or with `task.model=seq2seq` a GRU."""
    if getattr(config.task, "model", None) is Architecture.seq2seq:
        return GruEncoder(config.encoder.dim, config.encoder.depth, config.regularization.dropout)
    return Encoder(config.encoder, config.attention, config.regularization, axes)


def build_fusion(config: TrainConfig) -> nn.Module | None:
    """How inputs meet before the head; None where they do not."""
    options = config.task
    kind = getattr(options, "fusion", Fusion.concat)
    parts = config.encoder, config.attention, config.regularization
    if kind is Fusion.cross_attention:
        return CrossAttentionFusion(*parts)
    return BottleneckFusion(*parts, options.bottlenecks) if kind is Fusion.bottleneck else None


def without(features: dict[str, ModalityFeatures], names: Collection[str]) -> dict[str, ModalityFeatures]:
    """Encoded inputs as if those of some names were missing throughout."""
    return {name: each.without() if name in names else each for name, each in features.items()}


def only(features: dict[str, ModalityFeatures], name: str) -> dict[str, ModalityFeatures]:
    """Encoded inputs as if all but the one of this name were missing throughout."""
    return without(features, [other for other in features if other != name])


def _size(module: nn.Module | None) -> int:
    return 0 if module is None else sum(parameter.numel() for parameter in module.parameters())

"""From texts, pictures and features to scores: an embedding for each, one encoder, fusion, one vector and matrix each."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from mla_train.config import Latent, TrainConfig
from mla_train.data.tokenizers import PAD_ID, UNK_ID
from mla_train.nn import (
    AttentionPooling,
    ConvTokenizer,
    Encoder,
    ReconstructionTarget,
    VisualWords,
    default_downsample_log2,
    grid_positions,
    image_target,
)
from tasks.multimodal_sentiment.config import Fusion, MultimodalSentimentTaskConfig
from tasks.multimodal_sentiment.data import FeatureFacts, ImageFacts, MultimodalBatch, MultimodalFacts
from tasks.multimodal_sentiment.fusion import Bottleneck, CrossAttention

PATCH = 6  # side of a visual word in pixels


@dataclass
class Encoded:
    """What was read of each modality, before they meet.

    Attributes:
        tokens: `(batch, length, dim)`.
        padding: True where there is nothing, `(batch, length)`.
        terms: What the terms of a text, or the visual words of a picture, say, `(batch, term_dim)`; zeros where there is
            none.
        sequence: To which sequence an example belongs, `(batch,)`.
    """

    tokens: dict[str, Tensor]
    padding: dict[str, Tensor]
    terms: dict[str, Tensor]
    sequence: Tensor

    def only(self, modality: str) -> "Encoded":
        """As if all others were missing throughout."""
        return self.without([name for name in self.tokens if name != modality])

    def without(self, modalities: Collection[str]) -> "Encoded":
        """As if modalities were missing throughout."""
        padding = {n: torch.ones_like(p) if n in modalities else p for n, p in self.padding.items()}
        terms = {n: torch.zeros_like(t) if n in modalities else t for n, t in self.terms.items()}
        return replace(self, padding=padding, terms=terms)


class MultimodalClassifier(nn.Module):
    """Examples of several modalities in, class scores or a number out.

    Scores are a mean over the modalities that are there, each of what its own vector says. A sum would be too sure: under
    `task.alone` each of them is scaled to answer by itself.

    Args:
        config: The whole run's.
        facts: Of the data.
    """

    def __init__(self, config: TrainConfig, facts: MultimodalFacts) -> None:
        super().__init__()
        options = config.task
        assert isinstance(options, MultimodalSentimentTaskConfig)
        self.facts, self.alone, dim = facts, options.alone, config.encoder.dim
        outputs = len(facts.classes) or 1
        dropout = options.feature_dropout if config.regularization.dropout else 0.0
        self.embeddings = nn.ModuleDict()
        self.terms = nn.ModuleDict()
        self.words = nn.ModuleDict()
        for name, text in facts.texts.items():
            tokens = nn.Embedding(text.vocab_size, dim, padding_idx=PAD_ID)
            nn.init.normal_(tokens.weight, std=0.1)
            self.embeddings[name] = tokens
            if options.term_dim and text.num_terms:
                terms = nn.EmbeddingBag(text.num_terms, options.term_dim, mode="sum")
                nn.init.normal_(terms.weight, std=0.1)
                self.terms[name] = terms
        for name, image in facts.images.items():
            self.embeddings[name] = ImageEmbedding(image, dim, options.halvings)
            if options.term_dim and options.visual_words:
                size = image.height, image.width
                words = VisualWords(image.channels, size, options.visual_words, min(PATCH, *size))
                said = nn.Linear(words.width, options.term_dim, bias=False)
                nn.init.normal_(said.weight, std=0.1)
                self.words[name], self.terms[name] = words, said
        for name, feature in facts.features.items():
            self.embeddings[name] = FeatureEmbedding(feature, dim)
        self.kinds = nn.Embedding(len(facts.modalities), dim)
        nn.init.normal_(self.kinds.weight, std=0.02)
        self.encoder = Encoder(config.encoder, config.attention, config.regularization, rotary_axes=2)
        self.fusion: CrossAttention | Bottleneck | None = None
        if options.fusion is Fusion.cross_attention:
            self.fusion = CrossAttention(config)
        if options.fusion is Fusion.bottleneck:
            self.fusion = Bottleneck(config, options.bottlenecks)
        self.poolings = nn.ModuleDict({name: AttentionPooling(dim) for name in facts.modalities})
        widths = {n: dim + (options.term_dim if n in self.terms else 0) for n in facts.modalities}
        heads = {name: nn.Linear(width, outputs, bias=False) for name, width in widths.items()}
        for head in heads.values():
            nn.init.zeros_(head.weight)
        self.heads = nn.ModuleDict(heads)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.gates: nn.ModuleDict | None = None
        if options.fusion is Fusion.weighted:
            self.gates = nn.ModuleDict({name: nn.Linear(width, 1) for name, width in widths.items()})
        self.context = Context(config, sum(widths.values()), outputs) if facts.sequences else None
        self.dropout = nn.Dropout(dropout)
        self.term_dropout = nn.Dropout(config.regularization.dropout)

    def forward(self, batch: MultimodalBatch) -> Tensor:
        """Class scores, or a scaled number, of all modalities together; in training also of each alone.

        Returns:
            `(batch, outputs)`, in training `(1 + modalities, batch, outputs)` where `task.alone` asks for it.
        """
        found = self.encode(batch)
        together = self.judge(found)
        if not (self.training and self.alone and len(found.tokens) > 1):
            return together
        return torch.stack([together, *(self.judge(found.only(name)) for name in found.tokens)])

    def encode(self, batch: MultimodalBatch) -> Encoded:
        """Reads each modality for itself."""
        found = Encoded({}, {}, {}, batch.sequence)
        for number, name in enumerate(self.facts.modalities):
            x, padding = self.embeddings[name](batch.inputs[name]), batch.padding[name]
            if name in self.facts.images:
                positions = self.embeddings[name].positions
                padding = padding.expand(-1, x.size(1))
            else:
                steps = torch.arange(x.size(1), device=x.device)
                positions = torch.stack([torch.zeros_like(steps), steps], -1)
            x = self.dropout(x + self.kinds.weight[number])
            found.tokens[name], found.padding[name] = self.encoder(x, positions, padding), padding
            if name in self.words:
                said = self.terms[name](self.term_dropout(self.words[name](batch.inputs[name])))
                found.terms[name] = said.masked_fill(padding[:, :1], 0)
            elif name in self.terms:
                numbers, weights, offsets = batch.terms[name]
                found.terms[name] = self.terms[name](numbers, offsets, self.term_dropout(weights))
        return found

    def told(self, name: str, batch: MultimodalBatch) -> ReconstructionTarget:
        """What the encoder reads of a modality: tokens, pixels of each cell, or scaled features."""
        x, there = batch.inputs[name], ~batch.padding[name]
        if name in self.facts.texts:
            return ReconstructionTarget(x, there & (x > UNK_ID))
        embedding: Any = self.embeddings[name]
        found = embedding.told(x)
        return ReconstructionTarget(found.values, found.known & there.unsqueeze(-1))

    def judge(self, found: Encoded) -> Tensor:
        """What all modalities say together, of the shape of `forward`'s."""
        tokens = found.tokens if self.fusion is None else self.fusion(found.tokens, found.padding)
        vectors = {}
        for name, x in tokens.items():
            parts = [self.poolings[name](x, found.padding[name])]
            parts += [found.terms[name]] if name in found.terms else []
            vectors[name] = self.dropout(torch.cat(parts, -1))
        said = torch.stack([self.heads[name](vector) for name, vector in vectors.items()], 1)
        scores = (said * self.weights(vectors, found.padding).unsqueeze(-1)).sum(1) + self.bias
        if self.context is not None:
            scores = scores + self.context(torch.cat(list(vectors.values()), -1), found.sequence)
        return scores

    def weights(self, vectors: dict[str, Tensor], padding: dict[str, Tensor]) -> Tensor:
        """How much each modality counts: with gates as they say of what they see, else alike; sums to 1 over what is there.

        Args:
            vectors: Of each modality, `(batch, width)`.
            padding: True where there is nothing, `(batch, length)`.

        Returns:
            `(batch, modalities)`; zeros where all are missing.
        """
        missing = torch.stack([padding[name].all(1) for name in vectors], -1)
        scores = torch.zeros_like(missing, dtype=self.bias.dtype)
        if self.gates is not None:
            scores = torch.cat([self.gates[name](vector) for name, vector in vectors.items()], -1)
        weights = scores.masked_fill(missing, torch.finfo(scores.dtype).min).softmax(-1)
        return weights.masked_fill(missing, 0)


class ImageEmbedding(nn.Module):
    """Pictures as tokens of overlapping cells.

    Args:
        facts: Of the pictures.
        dim: Width of tokens.
        halvings: How often a picture is halved; None leaves about 8 x 8 tokens.

    Raises:
        ValueError: The pictures are too small for so many halvings.
    """

    positions: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, facts: ImageFacts, dim: int, halvings: int | None) -> None:
        super().__init__()
        size = facts.height, facts.width
        halvings = default_downsample_log2(int(sqrt(facts.height * facts.width))) if halvings is None else halvings
        if halvings < 1 or 2**halvings > min(size):
            raise ValueError(
                f"task.halvings={halvings} does not suit pictures of {size[0]} x {size[1]} pixels; leave it at null"
            )
        self.tokenizer = ConvTokenizer(facts.channels, dim, size, halvings)
        self.register_buffer("positions", grid_positions(*self.tokenizer.grid), persistent=False)
        self.register_buffer("mean", torch.tensor(facts.mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(facts.std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Pictures 0 to 255 `(batch, channels, height, width)` to `(batch, rows * columns, dim)`."""
        return self.tokenizer((images.float() - self.mean) / self.std)

    def told(self, images: Tensor) -> ReconstructionTarget:
        """The scaled pixels of each cell."""
        return image_target((images.float() - self.mean) / self.std, self.tokenizer.side)


class FeatureEmbedding(nn.Module):
    """Scaled features, projected.

    Args:
        facts: Of the features.
        dim: Width of tokens.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, facts: FeatureFacts, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(facts.mean))
        self.register_buffer("std", torch.tensor(facts.std))
        self.project = nn.Linear(len(facts.mean), dim)

    def forward(self, features: Tensor) -> Tensor:
        """`(batch, length, width)` to `(batch, length, dim)`."""
        return self.project((features - self.mean) / self.std)

    def told(self, features: Tensor) -> ReconstructionTarget:
        """Scaled features."""
        scaled = (features - self.mean) / self.std
        return ReconstructionTarget(scaled, torch.ones_like(scaled, dtype=torch.bool))


class Context(nn.Module):
    """What the other examples of a sequence, such as the utterances of a video, add to each.

    Args:
        config: The whole run's.
        width: Of an example's vector.
        outputs: Number of scores.
    """

    def __init__(self, config: TrainConfig, width: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, config.encoder.dim)
        # A few examples, not a long input to be told.
        shape = replace(config.encoder, depth=1, latent=Latent.plain, masked_modeling=False)
        self.encoder = Encoder(shape, config.attention, config.regularization)
        self.head = nn.Linear(config.encoder.dim, outputs, bias=False)
        nn.init.zeros_(self.head.weight)

    def forward(self, vectors: Tensor, sequence: Tensor) -> Tensor:
        """Examples look at those of their sequence.

        Args:
            vectors: `(batch, width)`.
            sequence: To which sequence each belongs, rising from 0, `(batch,)`.

        Returns:
            `(batch, outputs)`.
        """
        lengths = torch.bincount(sequence)
        first = lengths.cumsum(0) - lengths
        place = torch.arange(len(sequence), device=sequence.device) - first[sequence]
        together = vectors.new_zeros(len(lengths), int(lengths.max()), self.down.out_features)
        together[sequence, place] = self.down(vectors)
        padding = torch.arange(together.size(1), device=sequence.device) >= lengths.unsqueeze(1)
        return self.head(self.encoder(together, key_padding_mask=padding)[sequence, place])

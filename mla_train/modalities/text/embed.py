"""From token numbers to tokens: embeddings, and beside the encoder TF-IDF features and convolutions."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.data.tokenizers import PAD_ID, UNK_ID
from mla_train.modalities.base import Embedding, ModalityFeatures, hold_linear, mean_of_windows
from mla_train.modalities.text.spec import TextSpec, TextTensors
from mla_train.nn import Dropout, ReconstructionTarget


class Convolutions(nn.Module):
    """Convolutions of several widths (in tokens) over tokens (Kim 2014, arXiv 1408.5882), with `dim` filters each."""

    def __init__(self, dim: int, widths: list[int]) -> None:
        super().__init__()
        self.widths = widths
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, dim, width) for width in widths)
        self.up = nn.Linear(dim * len(widths), dim)

    def forward(self, x: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        """Adds phrases to tokens.

        Args:
            x: Tokens, `(batch, length, dim)`.
            padding: True at padding, `(batch, length)`.

        Returns:
            Tokens with their neighbourhood, `(batch, length, dim)`; largest response of each filter,
            `(batch, widths * dim)`.
        """
        x = x.masked_fill(padding.unsqueeze(-1), 0).transpose(1, 2)
        responses = []
        for width, convolution in zip(self.widths, self.convolutions, strict=True):
            responses.append(F.relu(convolution(F.pad(x, ((width - 1) // 2, width // 2)))))
        phrases = torch.cat(responses, dim=1)
        largest = phrases.masked_fill(padding.unsqueeze(1), 0).amax(-1)
        return x.transpose(1, 2) + self.up(phrases.transpose(1, 2)), largest


class TfidfEmbedding(nn.Module):
    """The weighted sum of the embeddings of a text's TF-IDF features: a linear model of n-grams is contained in it."""

    def __init__(self, size: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(size, dim, mode="sum")
        nn.init.normal_(self.table.weight, std=0.1)
        self.dropout = Dropout(dropout)

    def forward(self, tensors: TextTensors) -> Tensor:
        """`(batch, dim)`; zeros for a text without features."""
        if tensors.offsets is None:  # `(batch, features)` both, padded with weight 0, in an exported graph
            assert tensors.features is not None
            assert tensors.weights is not None
            return (tensors.weights.unsqueeze(1) @ F.embedding(tensors.features, self.table.weight)).squeeze(1)
        return self.table(tensors.features, tensors.offsets, self.dropout(tensors.weights))


class TextEmbedding(Embedding):
    """Tokens of texts.

    Where a text is generated, the embeddings may also be the output matrix (Press and Wolf 2017): they then start small
    enough for that, and are scaled up at the input.
    """

    def __init__(self, config: TrainConfig, spec: TextSpec) -> None:
        super().__init__()
        options, dim = config.task, config.encoder.dim
        self.spec, self.reconstruction_size = spec, spec.vocab_size
        self.scale = dim**0.5 if spec.end_token else 1.0
        self.tokens = nn.Embedding(spec.vocab_size, dim, padding_idx=PAD_ID)
        nn.init.normal_(self.tokens.weight, std=dim**-0.5 if spec.end_token else 0.1)
        self.side_paths = nn.ModuleDict()
        if not getattr(options, "side_paths", True):
            return
        widths, tfidf_dim = getattr(options, "convolutions", []), getattr(options, "tfidf_dim", 0)
        if widths:
            self.side_paths["convolutions"] = Convolutions(dim, list(widths))
            self.side_dim += dim * len(widths)
        if tfidf_dim and spec.tfidf_size:
            self.side_paths["tfidf"] = TfidfEmbedding(spec.tfidf_size, tfidf_dim, config.regularization.dropout)
            self.side_dim += tfidf_dim
            self.linear_width = tfidf_dim

    def side_table(self, column: Any) -> Any:
        """TF-IDF features."""
        return column.tfidf

    def set_linear(self, weight: Tensor) -> Tensor:
        """Sets the embeddings of TF-IDF features, which come first among the side features."""
        tfidf: Any = self.side_paths["tfidf"]
        return hold_linear(tfidf.table.weight, weight)

    def forward(self, tensors: TextTensors) -> ModalityFeatures:
        """Tokens `(batch, length, dim)`."""
        x, padding = self.tokens(tensors.tokens) * self.scale, tensors.padding
        side = []
        if "tfidf" in self.side_paths:
            side.append(self.side_paths["tfidf"](tensors))
        if "convolutions" in self.side_paths:
            x, largest = self.side_paths["convolutions"](x, padding)
            side.append(mean_of_windows(largest, tensors.windows))
        side_features = torch.cat(side, -1) if side else None
        return ModalityFeatures(x, padding, side=side_features, windows=tensors.windows, ids=tensors.tokens)

    def reconstruction_target(self, tensors: TextTensors) -> ReconstructionTarget:
        """Tokens that are neither padding nor unknown."""
        return ReconstructionTarget(tensors.tokens, tensors.tokens > UNK_ID)

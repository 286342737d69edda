"""From tokens to class scores: what single terms, short phrases and the whole text say."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.data.tokenizers import PAD_ID
from mla_train.nn import AttentionPooling, Encoder, MeanPooling
from tasks.text_classification.config import Pooling, TextClassificationTaskConfig
from tasks.text_classification.data import TextBatch, TextFacts


class Convolutions(nn.Module):
    """Convolutions of several widths over tokens (Kim 2014).

    Args:
        dim: Width of tokens and number of filters of each convolution.
        widths: Tokens that each convolution sees.
    """

    def __init__(self, dim: int, widths: list[int]) -> None:
        super().__init__()
        self.widths = widths
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, dim, width) for width in widths)
        self.up = nn.Linear(dim * len(widths), dim)

    def forward(self, x: Tensor, key_padding_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Phrases.

        Args:
            x: `(batch, length, dim)`.
            key_padding_mask: True at padding, `(batch, length)`.

        Returns:
            Tokens with their neighbourhood, `(batch, length, dim)`; the strongest answer of each filter,
            `(batch, widths * dim)`.
        """
        x = x.masked_fill(key_padding_mask.unsqueeze(-1), 0).transpose(1, 2)
        found = []
        for width, convolution in zip(self.widths, self.convolutions, strict=True):
            found.append(F.relu(convolution(F.pad(x, ((width - 1) // 2, width // 2)))))
        phrases = torch.cat(found, dim=1)
        strongest = phrases.masked_fill(key_padding_mask.unsqueeze(1), 0).amax(-1)
        return x.transpose(1, 2) + self.up(phrases.transpose(1, 2)), strongest


class TextClassifier(nn.Module):
    """Texts in, class scores out.

    Three readers of growing reach stand side by side, and one matrix weighs what they say: embedded terms (a linear
    model of n-grams is contained in them), convolutions, and the encoder, which reads what the convolutions found.

    Args:
        config: The whole run's.
        facts: Of the texts.
    """

    def __init__(self, config: TrainConfig, facts: TextFacts) -> None:
        super().__init__()
        options = config.task
        assert isinstance(options, TextClassificationTaskConfig)
        dim = width = config.encoder.dim
        self.embedding = nn.Embedding(facts.vocab_size, dim, padding_idx=PAD_ID)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.convolutions = None
        if options.convolutions:
            self.convolutions = Convolutions(dim, options.convolutions)
            width += dim * len(options.convolutions)
        self.terms = None
        if options.term_dim and facts.num_terms:
            self.terms = nn.EmbeddingBag(facts.num_terms, options.term_dim, mode="sum")
            nn.init.normal_(self.terms.weight, std=0.1)
            width += options.term_dim
        self.encoder = Encoder(config.encoder, config.attention, config.regularization)
        self.pooling = AttentionPooling(dim) if options.pooling is Pooling.attention else MeanPooling()
        self.dropout = nn.Dropout(options.feature_dropout if config.regularization.dropout else 0.0)
        self.term_dropout = nn.Dropout(config.regularization.dropout)
        self.head = nn.Linear(width, len(facts.classes))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: TextBatch) -> Tensor:
        """Class scores, `(batch, classes)`."""
        mask = batch.key_padding_mask
        x = self.embedding(batch.tokens)
        said = []
        if self.terms is not None:
            said.append(self.terms(batch.terms, batch.offsets, self.term_dropout(batch.weights)))
        if self.convolutions is not None:
            x, strongest = self.convolutions(x, mask)
            said.append(strongest)
        # Without padding there is no mask, and attention is cheaper.
        key_padding_mask = mask if bool(mask.any()) else None
        x = self.encoder(self.dropout(x), key_padding_mask=key_padding_mask)
        said.append(self.pooling(x, key_padding_mask))
        return self.head(self.dropout(torch.cat(said, dim=-1)))

"""Tokens as vectors, and vectors as scores of tokens."""

from torch import Tensor, nn

from tasks.translation.data import TranslationFacts


class Embeddings(nn.Module):
    """Embeddings of source and target tokens; with a joint vocabulary they are one.

    The target's is the output matrix too (Press and Wolf 2017).

    Args:
        facts: Of the sentence pairs.
        dim: Width of the vectors.
        dropout: Of the vectors that are read.
    """

    def __init__(self, facts: TranslationFacts, dim: int, dropout: float) -> None:
        super().__init__()
        self.scale = dim**0.5
        self.written = nn.Embedding(facts.target_vocab_size, dim)
        self.read = None if facts.joint else nn.Embedding(facts.source_vocab_size, dim)
        for embedding in (self.written, self.read):
            if embedding is not None:
                nn.init.normal_(embedding.weight, std=dim**-0.5)
        self.dropout = nn.Dropout(dropout)

    def source(self, tokens: Tensor) -> Tensor:
        """Source tokens `(...)` as vectors `(..., dim)`."""
        embedding = self.written if self.read is None else self.read
        return self.dropout(embedding(tokens) * self.scale)

    def target(self, tokens: Tensor) -> Tensor:
        """Target tokens `(...)` as vectors `(..., dim)`."""
        return self.dropout(self.written(tokens) * self.scale)

    def scores(self, x: Tensor) -> Tensor:
        """Scores of all target tokens `(..., target_vocab)`, from `(..., dim)`."""
        return x @ self.written.weight.T

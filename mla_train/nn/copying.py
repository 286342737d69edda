"""Words of the source in the output: a pointer-generator (See et al. 2017, arXiv 1704.04368) on top of any decoder.

    a_j = softmax_j(W x . h_j / sqrt(dim))          c = sigmoid(v . [x, sum_j a_j h_j])
    p(token) = (1 - c) softmax(logits)(token) + c sum_{j: source_j = token} a_j

x is the output of the decoder, h_j the encoded source. The weights a are of their own rather than those of a layer of the
decoder, so that each kind of attention keeps its fast kernels. Of a key only its product with a query counts: W is both
projections in one, and nothing but the source is kept while decoding.
"""

import torch
from torch import Tensor, nn

LEAST = 1e-30  # probability, so that its logarithm has a gradient


class CopyAttention(nn.Module):
    """Mixes the probabilities of a vocabulary with copies of source tokens.

    Args:
        dim: Width of the decoder's output.
        memory_dim: Width of the encoded source.
    """

    def __init__(self, dim: int, memory_dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(dim, memory_dim, bias=False)
        self.gate = nn.Linear(dim + memory_dim, 1)

    def attend(self, x: Tensor, memory: Tensor, excluded: Tensor) -> tuple[Tensor, Tensor]:
        """Where to copy from, and whether to.

        Args:
            x: Output of the decoder, `(rows, length, dim)`; the rows are the beams of each source.
            memory: Encoded source, `(sources, keys, memory_dim)`.
            excluded: True at what cannot be copied, `(sources, keys)`; of a source that has nothing else nothing is copied.

        Returns:
            Weights of the source, `(sources, beams * length, keys)`, and the probability of a copy,
            `(sources, beams * length, 1)`.
        """
        x = x.reshape(memory.size(0), -1, x.size(-1))
        scores = (self.query(x) @ memory.transpose(1, 2)).float() * memory.size(-1) ** -0.5
        weights = scores.masked_fill(excluded.unsqueeze(1), torch.finfo(scores.dtype).min).softmax(-1)
        context = weights.to(memory.dtype) @ memory
        copies = self.gate(torch.cat([x, context], -1)).float().sigmoid()
        return weights, copies * (~excluded.all(1)).view(-1, 1, 1)

    def forward(self, logits: Tensor, x: Tensor, memory: Tensor, excluded: Tensor, ids: Tensor) -> Tensor:
        """Log probabilities of the next tokens, `(rows, length, vocab_size)`.

        Args:
            logits: Scores of the vocabulary, `(rows, length, vocab_size)`.
            x: See `attend`.
            memory: See `attend`.
            excluded: See `attend`.
            ids: Token number of each part of the source, `(sources, keys)`.
        """
        weights, copies = self.attend(x, memory, excluded)
        written = logits.float().softmax(-1).view(memory.size(0), -1, logits.size(-1)) * (1 - copies)
        probabilities = written.scatter_add(-1, ids.unsqueeze(1).expand_as(weights), weights * copies)
        return probabilities.clamp_min(LEAST).log().view_as(logits)

"""Recurrent translation with additive attention (Bahdanau et al. 2014), from before the Transformer.

h_j  = bidirectional GRU over the source
e_ij = v^T tanh(W s_{i-1} + U h_j)        c_i = sum_j softmax_j(e_ij) h_j
s_i  = GRU(s_{i-1}, [embedding of y_{i-1}, c_i])          y_i from [s_i, c_i, embedding]
"""

import torch
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.data.tokenizers import PAD_ID
from tasks.translation.data import TranslationFacts
from tasks.translation.embeddings import Embeddings


class Seq2Seq(nn.Module):
    """Source tokens and target tokens so far in, scores of the next target token out.

    Width and depth of the source's GRU are the encoder's; the decoder is one GRU.

    Args:
        config: The whole run's.
        facts: Of the sentence pairs.
    """

    def __init__(self, config: TrainConfig, facts: TranslationFacts) -> None:
        super().__init__()
        dim, dropout = config.encoder.dim, config.regularization.dropout
        self.embeddings = Embeddings(facts, dim, dropout)
        depth = config.encoder.depth
        self.reader = nn.GRU(
            dim, dim, depth, batch_first=True, bidirectional=True, dropout=dropout if depth > 1 else 0.0
        )
        self.first_state = nn.Linear(dim, dim)
        self.of_state = nn.Linear(dim, dim, bias=False)
        self.of_memory = nn.Linear(2 * dim, dim)
        self.energy = nn.Linear(dim, 1, bias=False)
        self.writer = nn.GRU(3 * dim, dim, batch_first=True)
        self.before_output = nn.Linear(4 * dim, dim)
        self.dropout = nn.Dropout(dropout)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What was read of source tokens `(batch, length)`.

        Returns:
            Memory `(batch, length, 2 dim)`, True at its padding, and the decoder's first state `(batch, dim)`.
        """
        padding = source == PAD_ID
        lengths = (~padding).sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embeddings.source(source), lengths, batch_first=True, enforce_sorted=False
        )
        read, last = self.reader(packed)
        memory, _ = nn.utils.rnn.pad_packed_sequence(read, batch_first=True, total_length=source.size(1))
        return self.dropout(memory), padding, self.first_state(last[-1]).tanh()

    def attend(self, state: Tensor, memory: Tensor, projected: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        """What the memory says to a state.

        Args:
            state: `(batch, dim)`.
            memory: `(batch, length, 2 dim)`.
            projected: The memory through `of_memory`, `(batch, length, dim)`.
            padding: True at padding, `(batch, length)`.

        Returns:
            Context `(batch, 2 dim)` and weights `(batch, length)`.
        """
        energy = self.energy((self.of_state(state).unsqueeze(1) + projected).tanh()).squeeze(-1)
        weights = energy.masked_fill(padding, -torch.inf).softmax(-1)
        return (weights.unsqueeze(1) @ memory).squeeze(1), weights

    def decode_step(
        self, tokens: Tensor, state: Tensor, memory: Tensor, projected: Tensor, padding: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One token further.

        Args:
            tokens: The newest, `(batch,)`.
            state: `(batch, dim)`.
            memory: `(batch, length, 2 dim)`.
            projected: The memory through `of_memory`, `(batch, length, dim)`.
            padding: True at padding, `(batch, length)`.

        Returns:
            What the output matrix reads `(batch, dim)`, the new state `(batch, dim)`, weights `(batch, length)`.
        """
        embedded = self.embeddings.target(tokens)
        context, weights = self.attend(state, memory, projected, padding)
        _, new = self.writer(torch.cat([embedded, context], -1).unsqueeze(1), state.unsqueeze(0))
        state = new.squeeze(0)
        return self.dropout(self.before_output(torch.cat([state, context, embedded], -1)).tanh()), state, weights

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Scores of all next tokens.

        Args:
            source: `(batch, source_length)`.
            target: Begins with the start token, `(batch, target_length)`.

        Returns:
            `(batch, target_length, target_vocab)`.
        """
        return self.embeddings.scores(self._walk(source, target)[0])

    def attention_map(self, source: Tensor, target: Tensor) -> Tensor:
        """Weights of source tokens for each target token, `(batch, target_length, source_length)`."""
        return self._walk(source, target)[1]

    def _walk(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        memory, padding, state = self.encode(source)
        projected = self.of_memory(memory)
        outputs, maps = [], []
        for tokens in target.unbind(1):
            output, state, weights = self.decode_step(tokens, state, memory, projected, padding)
            outputs.append(output)
            maps.append(weights)
        return torch.stack(outputs, 1), torch.stack(maps, 1)

    def stepper(self, source: Tensor) -> "Seq2SeqStepper":
        """A decoding of these sources that is about to begin."""
        return Seq2SeqStepper(self, source)


class Seq2SeqStepper:
    """A decoding under way; rows are the beams of the first source, then those of the second and so on.

    Args:
        network: Which decodes.
        source: `(sources, length)`.
    """

    def __init__(self, network: Seq2Seq, source: Tensor) -> None:
        self.network = network
        self.memory, self.padding, self.state = network.encode(source)
        self.projected = network.of_memory(self.memory)

    def step(self, tokens: Tensor) -> Tensor:
        """Scores of the next token of each row, `(rows, target_vocab)`."""
        beams = len(tokens) // len(self.memory)
        if len(self.state) < len(tokens):  # the first step: all beams begin alike
            self.state = self.state.repeat_interleave(beams, 0)
        per_beam = [x.repeat_interleave(beams, 0) for x in (self.memory, self.projected, self.padding)]
        output, self.state, _ = self.network.decode_step(tokens, self.state, *per_beam)
        return self.network.embeddings.scores(output)

    def reorder(self, rows: Tensor) -> None:
        """Keeps these beams."""
        self.state = self.state[rows]

    def keep(self, sources: Tensor) -> None:
        """Keeps these sources."""
        self.memory, self.padding = self.memory[sources], self.padding[sources]
        self.projected = self.projected[sources]

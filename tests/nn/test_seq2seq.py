"""The recurrent encoder and decoder: additive attention as in the paper, and its first state."""

import torch

from mla_train.nn.seq2seq import GruDecoder, GruEncoder


@torch.no_grad()
def test_additive_attention_is_as_in_the_paper():
    torch.manual_seed(0)
    encoder, decoder = GruEncoder(8, 2, 0.1).eval(), GruDecoder(8, 0.1).eval()
    padding = torch.arange(6) >= torch.tensor([6, 4, 1]).unsqueeze(1)
    memory = encoder(torch.randn(3, 6, 8), padding=padding)
    state = torch.randn(3, 8)
    context, weights = decoder.attend(state, memory, decoder.key(memory), padding)
    for row in range(3):
        energies = [
            decoder.energy.weight[0] @ torch.tanh(decoder.query(state[row]) + decoder.key(memory[row, j]))
            for j in range(6)
            if not padding[row, j]
        ]
        expected = torch.stack(energies).softmax(0)
        torch.testing.assert_close(weights[row, : len(expected)], expected)
        torch.testing.assert_close(context[row], expected @ memory[row, : len(expected)])


@torch.no_grad()
def test_the_backward_direction_ends_at_the_first_token():
    torch.manual_seed(0)
    encoder = GruEncoder(8, 2, 0.0)
    x = torch.randn(3, 6, 8)
    torch.testing.assert_close(encoder(x)[:, 0, 8:], encoder.gru(x)[1][-1])
    padding = torch.arange(6) >= torch.tensor([6, 4, 1]).unsqueeze(1)
    padded = encoder(x, padding=padding)
    torch.testing.assert_close(padded[1, :4], encoder(x[1:2, :4])[0])
    assert not padded[padding].any()

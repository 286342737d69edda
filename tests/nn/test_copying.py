"""The pointer-generator against its definition, and its gradients."""

import torch

from mla_train.nn import CopyAttention

DIM, MEMORY, VOCAB = 6, 8, 9


def made(beams=2):
    torch.manual_seed(0)
    copying = CopyAttention(DIM, MEMORY)
    memory, ids = torch.randn(3, 5, MEMORY), torch.tensor([[4, 5, 4, 3, 0], [6, 6, 3, 0, 0], [0, 0, 0, 0, 0]])
    x, logits = torch.randn(3 * beams, 4, DIM), torch.randn(3 * beams, 4, VOCAB)
    return copying, logits, x, memory, ids == 0, ids


def test_probabilities_are_those_of_the_definition():
    copying, logits, x, memory, excluded, ids = made()
    mixed = copying(logits, x, memory, excluded, ids).exp()
    for row in range(6):
        source = row // 2
        places = (~excluded[source]).nonzero().flatten()
        for step in range(4):
            expected = logits[row, step].softmax(0)
            if len(places):
                scores = (
                    torch.stack([memory[source, place] @ copying.query(x[row, step]) for place in places]) / MEMORY**0.5
                )
                weights = scores.softmax(0)
                context = sum(weight * memory[source, place] for weight, place in zip(weights, places, strict=True))
                copies = copying.gate(torch.cat([x[row, step], context])).sigmoid()
                expected = expected * (1 - copies)
                for weight, place in zip(weights, places, strict=True):
                    expected[ids[source, place]] += weight * copies[0]
            torch.testing.assert_close(mixed[row, step], expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(mixed.sum(-1), torch.ones_like(mixed.sum(-1)), rtol=1e-5, atol=1e-7)


def test_gradients_are_finite_where_nothing_can_be_copied_or_a_token_is_impossible():
    copying, logits, x, memory, excluded, ids = made()
    logits[..., 7] = -1e4
    logits, x, memory = (each.requires_grad_() for each in (logits, x, memory))
    copying(logits, x, memory, excluded, ids).sum().backward()
    gradients = [logits.grad, x.grad, memory.grad, *(parameter.grad for parameter in copying.parameters())]
    assert all(torch.isfinite(each).all() for each in gradients)
    assert not memory.grad[2].any()
    assert not memory.grad[excluded].any()

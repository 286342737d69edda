"""`hardware.activation_checkpointing`: the same gradients from fewer activations."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from mla_train.data.sampling import reseed
from tests.helpers import SMALL, batch_of, build

TRANSLATION = ["task=translation", "regularization.stochastic_depth=0.2"]


@pytest.mark.parametrize("words", [[], TRANSLATION], ids=["encoder", "decoder"])
def test_gradients_are_the_same_and_less_is_kept(words):
    (gradients, kept), (expected, all_kept) = (
        gradients_and_kept(*SMALL, "encoder.depth=8", *words, f"hardware.activation_checkpointing={choice}")
        for choice in ("true", "false")
    )
    assert expected.keys() == gradients.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-5, atol=1e-7)
    assert kept < all_kept / 2


def gradients_and_kept(*words):
    """Gradients of a step with dropout, and the number of values that the forward pass keeps for the backward pass."""
    torch.manual_seed(0)
    module, data = build(*words)
    batch, sizes = batch_of(data, training=True), []
    reseed(0)
    with saved_tensors_hooks(lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor):
        total, _ = module.model.head.loss(module(batch), batch)
    total.backward()
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}, sum(sizes)

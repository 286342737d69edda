"""Norms."""

import warnings

import pytest
import torch
from torch import nn

from mla_train.nn.layers import RMSNorm


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_the_norm_is_torchs(kind):
    ours, reference = (each(8, eps=1e-6).to(kind) for each in (RMSNorm, nn.RMSNorm))
    weights = torch.rand(8, dtype=kind)
    x = torch.randn(3, 5, 8, dtype=kind)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    for norm, each in zip((ours, reference), inputs, strict=True):
        norm.weight.data.copy_(weights)
        norm(each).square().sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=0, atol=0)
    torch.testing.assert_close(ours.weight.grad, reference.weight.grad, rtol=0, atol=0)


def test_the_norm_takes_the_fused_kernel_where_its_input_is_bfloat16():
    norm, x = RMSNorm(8), torch.randn(4, 8, dtype=torch.bfloat16, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = norm(x)
    out.float().sum().backward()
    assert out.dtype is torch.bfloat16
    assert norm.weight.grad.dtype is torch.float32

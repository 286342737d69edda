"""The array of latents: padding, order, gradients, and a cost that grows with the length alone."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mla_train.config import AttentionConfig, AttentionKind, EncoderConfig, Latent, RegularizationConfig
from mla_train.nn import Encoder, grid_positions


def build(kind=AttentionKind.mla, rotary_axes=1, latent=Latent.array, **sizes):
    torch.manual_seed(0)
    config = EncoderConfig(**{"dim": 32, "depth": 2, "num_heads": 2, "latents": 4, "latent": latent} | sizes)
    return Encoder(config, AttentionConfig(kind=kind), RegularizationConfig(), rotary_axes)


@pytest.mark.parametrize("kind", list(AttentionKind))
def test_padding_changes_nothing_and_its_order_neither(kind):
    encoder = build(kind).eval()
    x = torch.randn(2, 5, 32)
    noise = 100 * torch.randn(2, 3, 32)
    padding = torch.arange(8).expand(2, 8) >= 5
    padded, turned = (encoder(torch.cat([x, end], 1), key_padding_mask=padding) for end in (noise, noise.flip(1)))
    torch.testing.assert_close(padded[:, :5], encoder(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(turned[:, :5], padded[:, :5], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", list(AttentionKind))
def test_order_is_seen_where_positions_are_to_be(kind):
    x = torch.randn(1, 6, 32)
    order = torch.randperm(6)
    blind, seeing = build(kind, 0).eval(), build(kind, 1).eval()
    torch.testing.assert_close(blind(x[:, order]), blind(x)[:, order], rtol=1e-4, atol=1e-5)
    assert (seeing(x[:, order]) - seeing(x)[:, order]).abs().max() > 1e-3
    picture, cells = build(kind, 2).eval(), grid_positions(2, 3)
    assert (picture(x, cells) - picture(x, cells.flip(-1))).abs().max() > 1e-3


def test_an_example_of_padding_alone_stays_finite():
    encoder = build()
    x = torch.randn(2, 5, 32, requires_grad=True)
    encoder(x, key_padding_mask=torch.tensor([[True], [False]]).expand(2, 5)).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_each_token_hears_of_each_other_through_the_latents():
    encoder = build()
    x = torch.randn(1, 9, 32, requires_grad=True)
    encoder(x)[0, 0].square().sum().backward()
    assert (x.grad[0].abs().amax(-1) > 0).all()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in encoder.parameters())


def test_it_cannot_be_causal():
    with pytest.raises(ValueError, match=r"cannot be causal: use encoder\.latent=plain"):
        build()(torch.randn(1, 3, 32), is_causal=True)


def test_cost_is_linear_in_length():
    def multiplications(latent, length):
        counter = FlopCounterMode(display=False)
        encoder = build(latent=latent, depth=4)
        with counter, sdpa_kernel(SDPBackend.MATH):  # whose products are all counted
            encoder(torch.randn(1, length, 32))
        return counter.get_total_flops()

    cost, plain = ([multiplications(latent, n) for n in (256, 512, 1024)] for latent in (Latent.array, Latent.plain))
    assert cost[2] - cost[1] == 2 * (cost[1] - cost[0])
    assert plain[2] - plain[1] > 2.5 * (plain[1] - plain[0])
    assert cost[2] < plain[2] / 5


def test_it_learns_what_only_order_tells():
    """Which of two marks comes first, anywhere in a sequence of noise?"""
    encoder = build(latents=8)
    head = torch.nn.Linear(32, 2)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=3e-3)
    marks = 3 * torch.randn(2, 32)
    for _ in range(250):
        x, places = torch.randn(64, 12, 32), torch.rand(64, 12).topk(2).indices
        x[torch.arange(64).unsqueeze(1), places] += marks
        first = (places[:, 0] > places[:, 1]).long()
        said = head(encoder(x).mean(1))
        right = (said.argmax(-1) == first).float().mean()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(said, first).backward()
        optimizer.step()
    assert right > 0.9

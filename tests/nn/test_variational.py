"""The variational latent: its distance from the standard normal distribution, its noise, and how it begins."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from mla_train.config import AttentionConfig, EncoderConfig, Latent, RegularizationConfig
from mla_train.nn import Encoder
from mla_train.nn.variational import FIRST_LOG_VARIANCE, VariationalLatent, kl_to_standard_normal


def test_kl_is_that_of_torch_over_tokens_that_are_there():
    torch.manual_seed(0)
    mean, log_variance = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    exact = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), exact.mean())
    padding = torch.arange(5).expand(2, 5) >= torch.tensor([[4], [2]])
    torch.testing.assert_close(
        kl_to_standard_normal(mean, log_variance, key_padding_mask=padding), exact[~padding].mean()
    )
    nothing = torch.ones(2, 5, dtype=torch.bool)
    assert kl_to_standard_normal(mean, log_variance, key_padding_mask=nothing) == 0


def test_kl_is_the_same_however_a_batch_is_cut():
    torch.manual_seed(0)
    mean, log_variance = torch.randn(4, 5, 3), torch.randn(4, 5, 3)
    halves = [kl_to_standard_normal(mean[i : i + 2], log_variance[i : i + 2], 0.4) for i in (0, 2)]
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance, 0.4), torch.stack(halves).mean())


def test_below_the_free_bits_nothing_pulls():
    mean = torch.tensor([[[0.1, 2.0]]], requires_grad=True)
    found = kl_to_standard_normal(mean, torch.zeros(1, 1, 2), free_bits=0.3)
    assert found.item() == pytest.approx(0.3 + 2.0)  # 2² / 2
    found.backward()
    assert mean.grad.tolist() == [[[0.0, 2.0]]]


@pytest.mark.parametrize("latent_dim", [16, 4])
def test_it_begins_as_a_projection_with_a_little_noise(latent_dim):
    torch.manual_seed(0)
    latent = VariationalLatent(16, latent_dim)
    x = torch.randn(8, 50, 16)
    through = latent.eval()(x)
    assert torch.equal(through, latent(x))
    torch.testing.assert_close(latent(through), through, rtol=1e-4, atol=1e-5)
    if latent_dim == 16:
        torch.testing.assert_close(through, x, rtol=1e-4, atol=1e-5)
    noise = latent.train()(x) - through
    assert noise.pow(2).sum(-1).mean().item() == pytest.approx(
        latent_dim * torch.tensor(FIRST_LOG_VARIANCE).exp().item(), rel=0.1
    )
    assert not torch.equal(latent(x), latent(x))


def test_its_distance_falls_where_only_that_counts_and_a_hook_sees_it():
    torch.manual_seed(0)
    config = EncoderConfig(dim=16, depth=1, num_heads=2, latent=Latent.variational)
    encoder = Encoder(config, AttentionConfig(), RegularizationConfig())
    seen = []
    encoder.variational.posterior.register_forward_hook(
        lambda module, arguments, output: seen.append((arguments, output))
    )
    optimizer = torch.optim.Adam(encoder.parameters(), lr=3e-2)
    x, padding = torch.randn(8, 6, 16), torch.arange(6).expand(8, 6) >= 4
    distances = []
    for _ in range(60):
        encoder(x, key_padding_mask=padding)
        (_, told), (mean, log_variance) = seen[-1]
        assert torch.equal(told, padding)
        loss = kl_to_standard_normal(mean, log_variance, key_padding_mask=told)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        distances.append(loss.item())
    assert distances[0] > 20
    assert distances[-1] < 0.05 * distances[0]

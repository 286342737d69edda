"""A random latent for each token: the deep variational information bottleneck (Alemi et al. 2017, arXiv 1612.00410).

    mean, log variance = W h          z = mean + exp(log variance / 2) noise          output = V z

The noise is reparametrised (Kingma and Welling 2014, arXiv 1312.6114), so that gradients pass through the sample. The loss
KL(N(mean, variance) || N(0, 1)) penalises information that does not help the task. Two matrices of `dim * latent_dim`
numbers, one of them doubled; the cost is linear in length.
"""

import torch
from torch import Tensor, nn

FIRST_LOG_VARIANCE = -4.0


class Posterior(nn.Module):
    """Mean and logarithm of the variance of each token's latent.

    A module of its own, so that a forward hook can observe its arguments `(x, key_padding_mask)` and its output
    `(mean, log_variance)`, which `kl_to_standard_normal` takes.

    Args:
        dim: Width of tokens.
        latent_dim: Width of the latent.
    """

    def __init__(self, dim: int, latent_dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, 2 * latent_dim)
        nn.init.orthogonal_(self.project.weight[:latent_dim])
        nn.init.zeros_(self.project.weight[latent_dim:])
        nn.init.zeros_(self.project.bias[:latent_dim])
        nn.init.constant_(self.project.bias[latent_dim:], FIRST_LOG_VARIANCE)

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`(batch, length, dim)` to two of `(batch, length, latent_dim)`; the mask is for observers only."""
        mean, log_variance = self.project(x).chunk(2, dim=-1)
        return mean, log_variance


class VariationalLatent(nn.Module):
    """A random latent for each token: a sample in training, the mean in evaluation.

    It starts close to the identity: a little noise, and a projection on `latent_dim` directions.
    """

    def __init__(self, dim: int, latent_dim: int) -> None:
        super().__init__()
        self.posterior = Posterior(dim, latent_dim)
        self.up = nn.Linear(latent_dim, dim)
        with torch.no_grad():
            self.up.weight.copy_(self.posterior.project.weight[:latent_dim].T)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """`(batch, length, dim)` to the same shape."""
        latent, log_variance = self.posterior(x, key_padding_mask)
        if self.training:
            latent = latent + torch.randn_like(latent) * (log_variance / 2).exp()
        return self.up(latent)


def kl_to_standard_normal(
    mean: Tensor, log_variance: Tensor, free_bits: float = 0.0, key_padding_mask: Tensor | None = None
) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) = (mean² + variance - 1 - log variance) / 2, in nats a token.

    Below `free_bits` a dimension has a constant cost, so that it does not collapse early (Kingma et al. 2016, arXiv
    1606.04934). The paper bounds a dimension's mean over the batch; here each token's own is bounded, so that the value
    does not depend on how a batch is split.

    Args:
        mean: Means, `(batch, length, latent_dim)`.
        log_variance: Logarithms of variances, `(batch, length, latent_dim)`.
        free_bits: Lower bound of the cost of a dimension.
        key_padding_mask: True at padding, which is ignored, `(batch, length)`.

    Returns:
        The sum over dimensions, averaged over tokens: a scalar.
    """
    mean, log_variance = mean.float(), log_variance.float()
    each = (mean**2 + log_variance.exp() - 1 - log_variance) / 2
    tokens = each.clamp(min=free_bits).sum(-1)
    if key_padding_mask is None:
        return tokens.mean()
    return tokens.masked_fill(key_padding_mask, 0).sum() / (~key_padding_mask).sum().clamp(min=1)

"""A random latent for each token: the deep variational information bottleneck (Alemi et al. 2017, arXiv 1612.00410).

    mean, log variance = W h          z = mean + exp(log variance / 2) noise          output = V z

The noise is reparametrised (Kingma and Welling 2014, arXiv 1312.6114), so that gradients pass through the sample. What a
token tells beyond the standard normal distribution has a price, KL(N(mean, variance) || N(0, 1)): what does not help the
task is given up. Two matrices of `dim * latent_dim` numbers, one of them doubled; the cost is linear in length.
"""

import torch
from torch import Tensor, nn

FIRST_LOG_VARIANCE = -4.0


class Posterior(nn.Module):
    """Mean and logarithm of the variance of each token's latent.

    This is where the latent is watched: a forward hook (`register_forward_hook`) is given the arguments
    `(x, key_padding_mask)` and the output `(mean, log_variance)`, which is what `kl_to_standard_normal` wants.

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
        """`(batch, length, dim)` to two of `(batch, length, latent_dim)`.

        Args:
            x: Tokens.
            key_padding_mask: True at padding, `(batch, length)`; for who watches.
        """
        mean, log_variance = self.project(x).chunk(2, dim=-1)
        return mean, log_variance


class VariationalLatent(nn.Module):
    """Tokens through a random latent: a sample in training, the mean in evaluation.

    It begins almost as the identity: a little noise, and a projection on `latent_dim` directions.

    Args:
        dim: Width of tokens.
        latent_dim: Width of the latent.
    """

    def __init__(self, dim: int, latent_dim: int) -> None:
        super().__init__()
        self.posterior = Posterior(dim, latent_dim)
        self.up = nn.Linear(latent_dim, dim)
        with torch.no_grad():
            self.up.weight.copy_(self.posterior.project.weight[:latent_dim].T)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """`(batch, length, dim)` to the same shape.

        Args:
            x: Tokens.
            key_padding_mask: True at padding, `(batch, length)`.
        """
        latent, log_variance = self.posterior(x, key_padding_mask)
        if self.training:
            latent = latent + torch.randn_like(latent) * (log_variance / 2).exp()
        return self.up(latent)


def kl_to_standard_normal(
    mean: Tensor, log_variance: Tensor, free_bits: float = 0.0, key_padding_mask: Tensor | None = None
) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) = (mean² + variance - 1 - log variance) / 2, in nats a token.

    Below `free_bits` a dimension costs the same whatever it tells, so that it need not fall silent early (Kingma et al.
    2016, arXiv 1606.04934). The paper bounds a dimension's mean over the batch; here each token's own is bounded, so that
    a batch gives the same however it is cut.

    Args:
        mean: `(batch, length, latent_dim)`.
        log_variance: `(batch, length, latent_dim)`.
        free_bits: Least cost of a dimension.
        key_padding_mask: True at padding, which is left out, `(batch, length)`.

    Returns:
        The sum over dimensions, averaged over tokens: a scalar.
    """
    mean, log_variance = mean.float(), log_variance.float()
    each = (mean**2 + log_variance.exp() - 1 - log_variance) / 2
    tokens = each.clamp(min=free_bits).sum(-1)
    if key_padding_mask is None:
        return tokens.mean()
    return tokens.masked_fill(key_padding_mask, 0).sum() / (~key_padding_mask).sum().clamp(min=1)

"""What a variational autoencoder pays for the information in its latent."""

from __future__ import annotations

from torch import Tensor


def gaussian_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of independent Gaussians from the standard normal, in nats.

    Parameters
    ----------
    mean, log_variance : (B, ...) of each number of the latent.

    Returns
    -------
    (B,) sums over the numbers of a sample; 0 where all have mean 0 and variance 1.

    Source: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, appendix B.
    """
    each = (log_variance.exp() + mean.square() - 1 - log_variance) / 2
    return each.flatten(1).sum(1)

"""Losses of a discriminator that is a classifier of K classes, and of its generator.

Of the K + 1 logits the last, that of the generated class, is held at 0, which loses nothing: so K are left,
and the probability that an image is real is D = Z / (Z + 1), with Z the sum of their exponentials.

Source: Salimans et al., "Improved Techniques for Training GANs", 2016, sections 3.1 and 5.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from degrain.losses.adversarial import non_saturating_discriminator_loss


def real_logits(logits: Tensor) -> Tensor:
    """log Z, of which D is the sigmoid: logits (B, K) to (B, 1)."""
    return logits.logsumexp(1, keepdim=True)


def labelled_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p(label | image, the image is real), in nats: logits (B, K), labels (B,) to (B,)."""
    return F.cross_entropy(logits, labels, reduction="none")


def unlabelled_loss(real: Tensor, generated: Tensor) -> Tensor:
    """-log D(real) - log(1 - D(generated)), in nats: logits (B, K) of both to (B,)."""
    return non_saturating_discriminator_loss(real_logits(real), real_logits(generated))


def mean_feature_matching(generated: Tensor, real: Tensor) -> Tensor:
    """|mean of generated - mean of real|^2, of features (B, F) of a layer, to a scalar.

    Unlike `degrain.losses.features.feature_matching` it pairs no image with another: there are no pairs.
    """
    return (generated.mean(0) - real.mean(0)).square().sum()

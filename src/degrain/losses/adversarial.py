"""Adversarial losses: pairs of functions on (real_logits, fake_logits), one value per sample.

Logits are (B, ...) unbounded scores, higher for real. Each returns (B,). All take both logits, so
that relativistic losses fit the same form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

AdversarialLoss = Callable[[Tensor, Tensor], Tensor]


class AdversarialPair(NamedTuple):
    """What each player minimises, as functions of (real_logits, fake_logits).

    threshold : the logit above which the discriminator takes an image for clean; None where only differences
        between real and fake logits count, and one alone says nothing.
    """

    generator: AdversarialLoss
    discriminator: AdversarialLoss
    threshold: float | None = 0.0


def non_saturating_discriminator_loss(
    real_logits: Tensor, fake_logits: Tensor, *, real_label: float = 1.0
) -> Tensor:
    """-label log D(real) - (1 - label) log(1 - D(real)) - log(1 - D(fake)), in nats, with D the sigmoid.

    A label below 1 is one-sided smoothing (Salimans et al., "Improved Techniques for Training GANs", 2016).
    """
    real = F.softplus(-real_logits) + (1 - real_label) * real_logits
    return _mean(real) + _mean(F.softplus(fake_logits))


def non_saturating_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(fake), in nats, with D the sigmoid of the logits."""
    del real_logits
    return _mean(F.softplus(-fake_logits))


def minimax_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """log(1 - D(fake)), in nats, with D the sigmoid of the logits; flat where D is sure of itself."""
    del real_logits
    return -_mean(F.softplus(fake_logits))


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """max(0, 1 - real) + max(0, 1 + fake)."""
    return _mean(F.relu(1 - real_logits)) + _mean(F.relu(1 + fake_logits))


def linear_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-fake: of hinge and Wasserstein."""
    del real_logits
    return _mean(-fake_logits)


def least_squares_discriminator_loss(
    real_logits: Tensor, fake_logits: Tensor, *, real_label: float = 1.0
) -> Tensor:
    """((real - label)^2 + fake^2) / 2."""
    return (_mean((real_logits - real_label).square()) + _mean(fake_logits.square())) / 2


def least_squares_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """(fake - 1)^2 / 2."""
    del real_logits
    return _mean((fake_logits - 1).square()) / 2


def wasserstein_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """fake - real: less the distance between both distributions, where the gradient is bounded to 1."""
    return _mean(fake_logits) - _mean(real_logits)


def relativistic_average_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(real - E fake) - log(1 - D(fake - E real)), in nats, with D the sigmoid.

    E is the mean over the batch and over the positions.
    """
    over, under = real_logits - fake_logits.mean(), fake_logits - real_logits.mean()
    return _mean(F.softplus(-over)) + _mean(F.softplus(under))


def relativistic_average_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(fake - E real) - log(1 - D(real - E fake)), in nats, with D the sigmoid."""
    return relativistic_average_discriminator_loss(fake_logits, real_logits)


def relativistic_pairing_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(real - fake), in nats, with D the sigmoid: each restored image against its own clean one."""
    return _mean(F.softplus(fake_logits - real_logits))


def relativistic_pairing_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(fake - real), in nats, with D the sigmoid."""
    return relativistic_pairing_discriminator_loss(fake_logits, real_logits)


def _mean(values: Tensor) -> Tensor:
    """(B, ...) to (B,)."""
    return values.flatten(1).mean(1)


minimax = AdversarialPair(minimax_generator_loss, non_saturating_discriminator_loss)
"""Source: Goodfellow et al., "Generative Adversarial Networks", 2014, equation 1."""

non_saturating = AdversarialPair(non_saturating_generator_loss, non_saturating_discriminator_loss)
"""Source: Goodfellow et al., "Generative Adversarial Networks", 2014."""

hinge = AdversarialPair(linear_generator_loss, hinge_discriminator_loss)
"""Source: Lim and Ye, "Geometric GAN", 2017."""

least_squares = AdversarialPair(least_squares_generator_loss, least_squares_discriminator_loss, threshold=0.5)
"""Source: Mao et al., "Least Squares Generative Adversarial Networks", 2017."""

wasserstein = AdversarialPair(linear_generator_loss, wasserstein_discriminator_loss, threshold=None)
"""Source: Arjovsky et al., "Wasserstein GAN", 2017; it needs `gradient_penalty`."""

relativistic_average = AdversarialPair(
    relativistic_average_generator_loss, relativistic_average_discriminator_loss, threshold=None
)
"""Source: Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard
GAN", 2018."""

relativistic_pairing = AdversarialPair(
    relativistic_pairing_generator_loss, relativistic_pairing_discriminator_loss, threshold=None
)
"""Source: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline", 2024, with R1 and R2."""

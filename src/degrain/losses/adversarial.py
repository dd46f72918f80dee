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
    """What each player minimises, as functions of (real_logits, fake_logits)."""

    generator: AdversarialLoss
    discriminator: AdversarialLoss


def non_saturating_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(real) - log(1 - D(fake)), in nats, with D the sigmoid of the logits."""
    return _mean(F.softplus(-real_logits)) + _mean(F.softplus(fake_logits))


def non_saturating_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(fake), in nats, with D the sigmoid of the logits."""
    del real_logits
    return _mean(F.softplus(-fake_logits))


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """max(0, 1 - real) + max(0, 1 + fake)."""
    return _mean(F.relu(1 - real_logits)) + _mean(F.relu(1 + fake_logits))


def hinge_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-fake."""
    del real_logits
    return _mean(-fake_logits)


def least_squares_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """((real - 1)^2 + fake^2) / 2."""
    return (_mean((real_logits - 1).square()) + _mean(fake_logits.square())) / 2


def least_squares_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """(fake - 1)^2 / 2."""
    del real_logits
    return _mean((fake_logits - 1).square()) / 2


def _mean(values: Tensor) -> Tensor:
    """(B, ...) to (B,)."""
    return values.flatten(1).mean(1)


non_saturating = AdversarialPair(non_saturating_generator_loss, non_saturating_discriminator_loss)
"""Source: Goodfellow et al., "Generative Adversarial Networks", 2014."""

hinge = AdversarialPair(hinge_generator_loss, hinge_discriminator_loss)
"""Source: Lim and Ye, "Geometric GAN", 2017."""

least_squares = AdversarialPair(least_squares_generator_loss, least_squares_discriminator_loss)
"""Source: Mao et al., "Least Squares Generative Adversarial Networks", 2017."""

"""Penalties that keep a discriminator in bounds; computed in float32, for they are differentiated twice."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) to logits (B, ...). An image's score is the mean of its logits, as in the losses."""


def squared_gradient(score: Score, images: Tensor) -> Tensor:
    """Squared norm of the gradient of each image's score: (B, C, H, W) to (B,).

    Half of it is R1 at real images and R2 at restored ones.

    Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?", 2018.
    """
    return _gradient(score, images).square().flatten(1).sum(1)


def gradient_penalty(score: Score, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """(norm of the gradient - 1)^2 between real and fake images.

    Parameters
    ----------
    real, fake : (B, C, H, W).
    share : (B,) of the real image in the mixture, in [0, 1]; drawn evenly.

    Returns
    -------
    (B,).

    Source: Gulrajani et al., "Improved Training of Wasserstein GANs", 2017.
    """
    mixed = torch.lerp(fake, real, share.view(-1, 1, 1, 1))
    norms: Tensor = torch.linalg.vector_norm(_gradient(score, mixed).flatten(1), dim=1)
    return (norms - 1).square()


def lecam(real_logits: Tensor, fake_logits: Tensor, *, usual_real: float, usual_fake: float) -> Tensor:
    """(real - usual fake)^2 + (fake - usual real)^2: logits (B, ...) and their moving averages, to (B,).

    Source: Tseng et al., "Regularizing Generative Adversarial Networks under Limited Data", 2021.
    """
    real, fake = (real_logits - usual_fake).square(), (fake_logits - usual_real).square()
    return real.flatten(1).mean(1) + fake.flatten(1).mean(1)


def historical_averaging(weights: Tensor, average: Tensor) -> Tensor:
    """Squared distance of weights (N,) from their average over all steps so far (N,), to a scalar.

    Source: Salimans et al., "Improved Techniques for Training GANs", 2016.
    """
    return (weights - average).square().sum()


def _gradient(score: Score, images: Tensor) -> Tensor:
    """Of the sum of the scores by the images, (B, C, H, W); it can be differentiated again."""
    images = images.detach().requires_grad_()
    total = score(images).flatten(1).mean(1).sum()
    return torch.autograd.grad(total, images, create_graph=True)[0]

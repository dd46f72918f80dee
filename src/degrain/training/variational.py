"""The step of a denoising variational autoencoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from degrain.data.patches import Batch
from degrain.losses.variational import gaussian_divergence
from degrain.models.variational import VariationalUnet
from degrain.seeding import seeded_generator
from degrain.training.descend import Stats, descend
from degrain.training.pixel import level_weights
from degrain.training.state import TrainState


@dataclass(frozen=True)
class VariationalStep:
    """A step on reconstruction + weight * divergence of the latent from the standard normal.

    With the squared error divided by twice its expected value, and weight 1, it would be the evidence lower
    bound. Here the error is divided as in pretraining, by a fixed multiple of the noise level.

    Parameters
    ----------
    loss : of (restored, clean), one value a sample; restored from one draw of the latent.
    weight : of the divergence, in nats for each value of the image.
    seed : of the draws, together with the step, so that a resumed training draws the same.

    Source: Im et al., "Denoising Criterion for Variational Auto-Encoding Framework", 2017; the weight as in
    Higgins et al., "beta-VAE", 2017.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    balance_levels: bool
    weight: float
    seed: int

    def __call__(self, state: TrainState, batch: Batch) -> Stats:
        """Update the generator; see `descend` for what it returns and raises."""
        network = state.generator.network
        if not isinstance(network, VariationalUnet):
            msg = f"{type(network).__name__}; expected VariationalUnet, the only network with a latent"
            raise TypeError(msg)
        with state.engine.autocast():
            posterior, skips = network.encode(batch.noisy, batch.sigma)
            generator = seeded_generator(self.seed, "latent", state.step)
            epsilon = torch.randn(posterior.mean.shape, generator=generator)
            restored = network.decode(batch.noisy, posterior.sample(state.engine.send(epsilon)), skips)
        losses = self.loss(restored, batch.clean)
        if self.balance_levels:
            losses = losses * level_weights(batch.sigma)
        divergence = gaussian_divergence(*posterior) / batch.clean[0].numel()
        terms = {"pixel": losses.mean(), "divergence": divergence.mean() * self.weight}
        return descend(state.generator, "generator", terms, step=state.step)

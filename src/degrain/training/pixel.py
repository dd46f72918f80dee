"""The step of pretraining: the generator alone, on a pixel loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from degrain.data.patches import Batch
from degrain.training.descend import Stats, descend
from degrain.training.state import TrainState

# Noise levels, on the images' scale: about where the weight is 1, and what keeps it finite at none.
USUAL_SIGMA, SMALL_SIGMA = 0.1, 0.02


@dataclass(frozen=True)
class PixelStep:
    """A step on the mean of a loss of (restored, clean), one value a sample.

    balance_levels : divide each sample's loss by its noise level. The squared error of a good
        restoration grows about as that does, so that each level then counts as it does in the mean PSNR.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    balance_levels: bool

    def __call__(self, state: TrainState, batch: Batch) -> Stats:
        """Update the generator; see `descend` for what it returns and raises."""
        with state.engine.autocast():
            restored = state.generator.network(batch.noisy, batch.sigma)
        losses = self.loss(restored, batch.clean)
        if self.balance_levels:
            losses = losses * level_weights(batch.sigma)
        terms = {"pixel": losses.mean()}
        return descend(state.generator, "generator", terms, step=state.step)


def level_weights(sigma: Tensor) -> Tensor:
    """Weights (B,) under which the losses of all noise levels (B,) count alike; 1 at about the usual one."""
    return USUAL_SIGMA / (sigma + SMALL_SIGMA)

"""The step of pretraining: the generator alone, on a pixel loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from degrain.data.patches import Batch
from degrain.training.descend import Stats, descend
from degrain.training.state import TrainState


@dataclass(frozen=True)
class PixelStep:
    """A step on the mean of a loss of (restored, clean), one value a sample."""

    loss: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, state: TrainState, batch: Batch) -> Stats:
        """Update the generator; see `descend` for what it returns and raises."""
        with state.engine.autocast():
            restored = state.generator.network(batch.noisy, batch.sigma)
        terms = {"pixel": self.loss(restored, batch.clean).mean()}
        return descend(state.generator, "generator", terms, step=state.step)

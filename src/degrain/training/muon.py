"""Muon: an optimiser that gives every direction of a weight matrix the same step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
# The quintic whose iterates bring singular values from (0, 1] near 1 fastest, as published.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
# Updates as large as AdamW's usually are, so that both share one learning rate's scale (Liu et al., 2025).
UPDATE_RMS = 0.2


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal: for weights of convolutions, taken as (outputs, inputs x height x width).

    Parameters
    ----------
    params : weights of at least two axes.
    lr : of updates whose root mean square is 0.2.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the scale
    of the update: Liu et al., "Muon is Scalable for LLM Training", 2025.
    """

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        del closure
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group["lr"])

    def _update(self, weight: Tensor, gradient: Tensor, lr: float) -> None:
        state: dict[str, Any] = self.state[weight]
        momentum = state.setdefault("momentum", torch.zeros_like(weight))
        momentum.lerp_(gradient, 1 - MOMENTUM)
        update = orthogonal(gradient.lerp(momentum, MOMENTUM).flatten(1))
        scale = UPDATE_RMS * max(update.shape) ** 0.5
        weight.add_(update.reshape(weight.shape), alpha=-lr * scale)


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix (M, N) with its singular values brought near 1 (0.7 to 1.2), by Newton-Schulz steps."""
    a, b, c = COEFFICIENTS
    wide = matrix.shape[0] <= matrix.shape[1]
    x: Tensor = matrix / (matrix.norm() + 1e-12)
    x = x if wide else x.mT
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.mT

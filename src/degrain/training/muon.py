"""Muon: momentum whose direction is made orthogonal, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
MOMENTUM = 0.95
BETAS, EPSILON = (0.9, 0.99), 1e-8
# Of a quintic that drives singular values in (0, 1] towards 1, in so many rounds.
COEFFICIENTS, ROUNDS = (3.4445, -4.7750, 2.0315), 5
# Root mean square of an update in units of the learning rate: about that of Adam.
RMS = 0.2


class Muon(torch.optim.Optimizer):
    """Muon for the hidden convolutions, Adam for the first, the last, and whatever is no convolution.

    Parameters
    ----------
    network : whose convolutions are in the order of its data: the first and the last are no hidden ones.
    dtype : that orthogonalisation is computed in.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the size of
    the update as in Liu et al., "Muon is Scalable for LLM Training", 2025, section 2.2. A convolution's
    weights are taken as a matrix with one row for each of its outputs.
    """

    def __init__(self, network: nn.Module, lr: float, *, weight_decay: float, dtype: torch.dtype) -> None:
        convolutions = [layer.weight for layer in network.modules() if isinstance(layer, CONVOLUTIONS)]
        hidden = convolutions[1:-1]
        others = [weight for weight in network.parameters() if all(weight is not one for one in hidden)]
        groups = [{"params": hidden, "hidden": True}, {"params": others, "hidden": False}]
        super().__init__([group for group in groups if group["params"]], {"lr": lr})
        self.weight_decay, self.dtype = weight_decay, dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        del closure
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if self.weight_decay:
                torch._foreach_mul_(weights, 1 - group["lr"] * self.weight_decay)
            change = self._orthogonal if group["hidden"] else self._adam
            for alike, updates in change(weights):
                torch._foreach_add_(alike, updates, alpha=-group["lr"])

    def _orthogonal(self, weights: list[Tensor]) -> Iterable[tuple[list[Tensor], list[Tensor]]]:
        """Groups of weights with their updates; those of one shape are computed together."""
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for weight in weights:
            by_shape.setdefault(weight.shape, []).append(weight)
        for shape, alike in by_shape.items():
            directions = torch.stack([one.reshape(shape[0], -1) for one in self._directions(alike)])
            updates = orthogonalise(directions.to(self.dtype)).to(directions.dtype)
            scale = RMS * math.sqrt(max(updates.shape[1:]))
            yield alike, list((updates * scale).view(-1, *shape).unbind())

    def _directions(self, weights: list[Tensor]) -> Sequence[Tensor]:
        """Nesterov's momentum."""
        gradients = [self._gradient(weight) for weight in weights]
        momenta = [self._kept(weight, "momentum") for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        return torch._foreach_lerp(gradients, momenta, MOMENTUM)

    def _adam(self, weights: list[Tensor]) -> Iterable[tuple[list[Tensor], list[Tensor]]]:
        for weight in weights:
            state, gradient = self.state[weight], self._gradient(weight)
            state["step"] = state.get("step", 0) + 1
            means = (gradient, gradient.square())
            first, second = (
                self._kept(weight, name).lerp_(mean, 1 - beta) / (1 - beta ** state["step"])
                for name, mean, beta in zip(("first", "second"), means, BETAS, strict=True)
            )
            yield [weight], [first / (second.sqrt() + EPSILON)]

    def _kept(self, weight: Tensor, name: str) -> Tensor:
        """An average that belongs to a weight."""
        state = self.state[weight]
        if name not in state:
            state[name] = torch.zeros_like(weight)
        kept: Tensor = state[name]
        return kept

    @staticmethod
    def _gradient(weight: Tensor) -> Tensor:
        assert weight.grad is not None
        return weight.grad


def orthogonalise(matrices: Tensor) -> Tensor:
    """Matrices (N, R, C) with the same singular vectors and singular values near 1 (0.7 to 1.2)."""
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.mT
    near: Tensor = wide / (torch.linalg.matrix_norm(wide.float(), keepdim=True) + 1e-12).to(wide.dtype)
    linear, cubic, quintic = COEFFICIENTS
    for _ in range(ROUNDS):
        square = near @ near.mT
        factor = torch.baddbmm(square, square, square, beta=cubic, alpha=quintic)
        near = torch.baddbmm(near, factor, near, beta=linear)
    return near if wide is matrices else near.mT

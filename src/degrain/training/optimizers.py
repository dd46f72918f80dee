"""Optimisers by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from degrain.params import Optimisation
from degrain.training.muon import Muon

BETAS = (0.9, 0.99)


class Together:
    """Several optimisers, each of its own weights, as one."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers = optimizers

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of all."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def step(self) -> None:
        """Update all weights."""
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of all, by number."""
        return {str(number): optimizer.state_dict() for number, optimizer in enumerate(self.optimizers)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what `state_dict` gave."""
        for number, optimizer in enumerate(self.optimizers):
            optimizer.load_state_dict(state[str(number)])


def generator_optimizer(network: nn.Module, settings: Optimisation) -> Together:
    """AdamW; or Muon for the convolutions between the first and the last, and AdamW for the rest."""
    weights = list(network.parameters())
    hidden = [weight for weight in weights if weight.ndim == 4][1:-1] if settings.optimizer == "muon" else []
    ours = {id(weight) for weight in hidden}
    rest = [weight for weight in weights if id(weight) not in ours]
    adamw = torch.optim.AdamW(rest, lr=settings.lr, betas=BETAS, weight_decay=settings.weight_decay)
    return Together(adamw, *([Muon(hidden, settings.lr)] if hidden else []))

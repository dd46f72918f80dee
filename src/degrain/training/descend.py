"""One player's update, and what it is refused for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from degrain.errors import DegrainError
from degrain.training.state import Player

Stats = dict[str, float]


class Diverged(DegrainError):
    """A training that must not go on: a loss or a gradient is not finite any more, or the weights are spoilt.

    Parameters
    ----------
    seen : the step, the figure and what was expected of it.
    advice : what to do about it.
    """

    def __init__(self, seen: str, advice: str) -> None:
        super().__init__(f"{seen}. {advice}. The last good checkpoint is kept")
        self.seen = seen


def descend(player: Player, name: str, terms: dict[str, Tensor], *, step: int) -> Stats:
    """Update a player down the sum of its terms.

    Parameters
    ----------
    terms : name to a scalar, weighted.
    step : that it belongs to, counted from 0.

    Returns
    -------
    The value of each term and the norm of the gradient before clipping.

    Raises
    ------
    Diverged : naming the step and the term that is not finite; the weights are as before.
    """
    player.network.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(player.network.parameters(), player.gradient_clip or float("inf"))
    measured = {**{term: value.detach() for term, value in terms.items()}, f"{name}_gradient_norm": norm}
    # One transfer for all of them: each would make a GPU wait.
    stats = dict(zip(measured, torch.stack(list(measured.values())).tolist(), strict=True))
    check_finite(stats, step)
    player.optimizer.step()
    return stats


def check_finite(stats: Stats, step: int) -> None:
    """Raise `Diverged` for a figure of the step after `step` finished ones that is not a finite number."""
    for term, value in stats.items():
        if not abs(value) < float("inf"):
            seen = f"step {step + 1}: {term} = {value}; expected a finite number"
            raise Diverged(seen, "Lower the learning rate or the weight of that term in params.yaml")

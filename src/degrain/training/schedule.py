"""Learning rates over the steps."""

from __future__ import annotations

import math


def warmup_cosine(step: int, *, steps: int, warmup_steps: int) -> float:
    """Share of the top learning rate at `step`: a linear rise, then half a cosine down to 0.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

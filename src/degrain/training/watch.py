"""Stops a training on a pixel loss that has begun to blow up, before it wastes hours."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from degrain.training.descend import Diverged, Stats
from degrain.training.state import TrainState

GRADIENT = "generator_gradient_norm"
# Steps whose median is judged, so that no single batch counts; and what healthy trainings stay far below.
WINDOW, RISE = 50, 10.0


class GradientWatch:
    """The `Guard` of pretraining: while a training goes well, its gradient never grows tenfold.

    An optimiser whose steps do not depend on the size of the gradient, such as Muon, goes on long after it
    has blown up, with losses that are finite. What is remembered is `TrainState.chart`, so that it resumes.
    """

    def begin(self, state: TrainState, validate: Callable[[TrainState], Stats]) -> None:
        """Do nothing."""

    def look(self, state: TrainState, stats: Stats, figures: Stats) -> None:
        """Take in a step.

        Raises
        ------
        Diverged : the median of the last steps' gradients is ten times the least so far.
        """
        del figures
        window = state.chart.window.setdefault(GRADIENT, [])
        window.append(stats[GRADIENT])
        if len(window) < WINDOW:
            return
        norm, least = statistics.median(window), state.chart.best.get(GRADIENT, float("inf"))
        if norm > RISE * least:
            seen = (
                f"step {state.step}: {GRADIENT} = {norm:.3g}, the median of {WINDOW} steps; expected at most "
                f"{RISE:g} times its least, {least:.3g}"
            )
            raise Diverged(seen, "Lower pretrain.lr (params.yaml)")
        state.chart.window, state.chart.best = {}, {GRADIENT: min(norm, least)}

    def rescue(self, state: TrainState, error: Diverged) -> None:
        """Give up: with these settings it would blow up again."""
        raise error

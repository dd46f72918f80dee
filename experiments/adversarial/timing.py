"""How many steps an arm can do in the minutes that every arm gets."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence

from tqdm import tqdm

from degrain.compute import Engine
from degrain.training.checkpoint import Checkpoint
from degrain.training.loop import advance, prepared
from experiments.adversarial.arms import Plans, Row
from experiments.adversarial.clock import Clock
from experiments.adversarial.trainings import STREAM, start

# Lazy penalties come every 16 steps. The arms take turns, so that a busy minute does not hit one alone.
ROUNDS, WARM_UP, TIMED = 3, 2, 16


def seconds_a_step(plans: Plans, rows: Sequence[Row], engine: Engine) -> dict[str, float]:
    """Seconds of a training step by the arm's name, in the median round; validation is not in it."""
    found: dict[str, list[float]] = {row.name: [] for row in rows}
    turns = [row for _ in range(ROUNDS) for row in rows]
    for row in tqdm(turns, "timing the arms", unit="arm", delay=3):
        found[row.name].append(_time(plans, row, engine))
    return {name: statistics.median(times) for name, times in found.items()}


def _time(plans: Plans, row: Row, engine: Engine) -> float:
    params = plans.params(row, steps=10 * (WARM_UP + TIMED))
    nowhere = Checkpoint(STREAM, "timing")
    state, plan = start(plans, row, params, engine, nowhere, Clock(nowhere))
    batches = prepared(plan.data, 0, WARM_UP + TIMED, engine)
    for batch in itertools.islice(batches, WARM_UP):
        advance(state, batch, plan)
    began = time.perf_counter()
    for batch in batches:
        advance(state, batch, plan)
    return (time.perf_counter() - began) / TIMED

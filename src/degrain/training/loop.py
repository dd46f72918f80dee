"""The training loop: batches in, trained networks out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from tqdm import tqdm

from degrain.compute import Engine
from degrain.data.patches import Batch, CropDataset
from degrain.training.checkpoint import Checkpoint
from degrain.training.descend import Diverged, Stats, check_finite
from degrain.training.progress import Progress
from degrain.training.schedule import warmup_cosine
from degrain.training.state import TrainState
from degrain.training_params import Optimisation

CHECKPOINT_SECONDS = 20.0

Step = Callable[[TrainState, Batch], Stats]


class Log(Protocol):
    """Where a training tells how it goes."""

    def log_metrics(self, step: int, metrics: dict[str, float]) -> None:
        """Take the figures of one step."""
        ...

    def flush(self) -> None:
        """Send what was taken."""
        ...


class Guard(Protocol):
    """What looks after a training."""

    def begin(self, state: TrainState, validate: Callable[[TrainState], Stats]) -> None:
        """Get ready, before the first step or after a resumption."""
        ...

    def look(self, state: TrainState, stats: Stats, figures: Stats) -> None:
        """Take in a step and the figures of validation, if it was validated; raise `Diverged` to stop it."""
        ...

    def rescue(self, state: TrainState, error: Diverged) -> None:
        """Make the state one to go on from, or raise."""
        ...


class Unguarded:
    """The `Guard` that lets everything pass, and rescues nothing."""

    def begin(self, state: TrainState, validate: Callable[[TrainState], Stats]) -> None:
        """Do nothing."""

    def look(self, state: TrainState, stats: Stats, figures: Stats) -> None:
        """Do nothing."""

    def rescue(self, state: TrainState, error: Diverged) -> None:
        """Give up."""
        raise error


@dataclass(frozen=True)
class Plan:
    """What a training does with its state.

    step : updates every player on one batch; returns the terms of the losses.
    validate : called now and then; returns figures for the curve.
    guard : sees every step, and is called when one diverges.
    """

    settings: Optimisation
    data: CropDataset
    step: Step
    validate: Callable[[TrainState], Stats]
    guard: Guard = field(default_factory=Unguarded)


def fit(state: TrainState, plan: Plan, *, checkpoint: Checkpoint, log: Log, name: str) -> None:
    """Train to the last step, from wherever the checkpoint left off.

    Raises
    ------
    Diverged : it came to a bad end, and the guard could not help; the last good checkpoint is kept.
    """
    resumed = checkpoint.load()
    if resumed is not None:
        state.load_state_dict(resumed)
        tqdm.write(f"{name}: resuming from the checkpoint at step {state.step}")
    plan.guard.begin(state, plan.validate)
    while state.step < plan.settings.steps:
        try:
            _train(state, plan, checkpoint, log, name)
        except Diverged as error:
            plan.guard.rescue(state, error)
            _save(state, checkpoint, log)  # at once: what is kept as healthy from here on follows from it


def _train(state: TrainState, plan: Plan, checkpoint: Checkpoint, log: Log, name: str) -> None:
    """Train from the step that the state is at to the last one."""
    settings, saved_at = plan.settings, time.monotonic()
    with Progress(name, settings, state.step) as progress:
        for batch in prepared(plan.data, state.step, settings.steps, state.engine):
            stats, figures = advance(state, batch, plan), Stats()
            log.log_metrics(state.done, stats)
            progress.advance(stats)
            if state.step % settings.validate_every == 0 or state.step == settings.steps:
                figures = _close_interval(state, plan)
                log.log_metrics(state.done, figures | {"megapixels_per_second": progress.rate})
                progress.show(figures)
            plan.guard.look(state, stats, figures)
            if state.step == settings.steps or time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                _save(state, checkpoint, log)
                saved_at = time.monotonic()


def _save(state: TrainState, checkpoint: Checkpoint, log: Log) -> None:
    log.flush()  # before, so that a resumed training leaves no gap in the curves
    checkpoint.save(state.state_dict())


def advance(state: TrainState, batch: Batch, plan: Plan) -> Stats:
    """One step of everything that moves; returns the terms of the losses and the learning rate."""
    settings = plan.settings
    factor = warmup_cosine(state.step, steps=settings.steps, warmup_steps=settings.warmup_steps)
    factor *= state.chart.rate
    for player in state.players().values():
        player.set_lr(factor)
    stats = plan.step(state, batch)
    state.step += 1
    images = settings.batch_size
    state.ema.update(state.generator.network, images=images, images_seen=state.step * images)
    for term, value in (stats | {"steps": 1.0}).items():
        state.sums[term] = state.sums.get(term, 0.0) + value
    return stats | {"lr": settings.lr * factor}


def _close_interval(state: TrainState, plan: Plan) -> Stats:
    """Validate, and add a row to the curve: the means since the last row, and the figures."""
    figures = plan.validate(state)
    check_finite(figures, state.step - 1)  # before the checkpoint: the last update may have broken all
    steps = state.sums.pop("steps")
    means = {term: value / steps for term, value in state.sums.items()}
    state.curve.append({"step": state.step, **means, **figures})
    state.sums = {}
    return figures


def prepared(data: CropDataset, start: int, stop: int, engine: Engine) -> Iterator[Batch]:
    """The batches of the steps from start to stop, where the networks are."""
    for batch in data.batches(start, stop, engine.device):
        yield Batch(engine.send(batch.clean), engine.send(batch.noisy), engine.send(batch.sigma))

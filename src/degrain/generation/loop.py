"""The loop of trainings that draw their own batches, by the number of the step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from tqdm import tqdm

from degrain.compute import Engine
from degrain.generation.labelled import Labelled
from degrain.generation_params import Learning
from degrain.seeding import seeded_generator
from degrain.training.checkpoint import Checkpoint
from degrain.training.descend import Stats, check_finite
from degrain.training.ema import Ema
from degrain.training.progress import NOT_LOSSES
from degrain.training.schedule import warmup_cosine
from degrain.training.state import Player, TrainState

if TYPE_CHECKING:
    from degrain.training.loop import Log

# Little momentum: the direction that fools the other player turns with every step.
BETAS = (0.5, 0.99)
CHECKPOINT_SECONDS = 20.0


@dataclass(frozen=True)
class Course:
    """What a training does with its state.

    Attributes
    ----------
    step : updates every player, on batches that depend on the seed and on the step's number alone.
    look : called every `settings.look_every` steps; returns figures for the curve.
    averaged : whose weights `TrainState.ema` follows.
    """

    name: str
    settings: Learning
    step: Callable[[TrainState], Stats]
    look: Callable[[TrainState], Stats]
    averaged: Player


def train(state: TrainState, course: Course, *, checkpoint: Checkpoint, log: Log) -> None:
    """Train to the last step, from wherever the checkpoint left off.

    Raises
    ------
    Diverged : a loss is not finite any more; the last good checkpoint is kept.
    """
    settings, resumed = course.settings, checkpoint.load()
    if resumed is not None:
        state.load_state_dict(resumed)
        tqdm.write(f"{course.name}: resuming from the checkpoint at step {state.step}")
    saved_at, shown = time.monotonic(), ""
    with tqdm(total=settings.steps, initial=state.step, desc=course.name, unit="step", smoothing=0.05) as bar:
        while state.step < settings.steps:
            advance(state, course)
            is_last = state.step == settings.steps
            if is_last or state.step % settings.look_every == 0:
                row = close_interval(state, course)
                log.log_metrics(state.step, row)
                told = (name for name in row if not name.endswith(NOT_LOSSES))
                shown = ", ".join(f"{name} {row[name]:.3g}" for name in told)
            bar.set_postfix_str(shown, refresh=False)
            bar.update()
            if is_last or time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                log.flush()  # before, so that a resumed training leaves no gap in the curves
                checkpoint.save(state.state_dict())
                saved_at = time.monotonic()


def advance(state: TrainState, course: Course) -> None:
    """One step of everything that moves."""
    settings = course.settings
    factor = warmup_cosine(state.step, steps=settings.steps, warmup_steps=settings.warmup_steps)
    for player in state.players().values():
        player.set_lr(factor)
    stats = course.step(state)
    state.step += 1
    images = settings.batch_size
    state.ema.update(course.averaged.network, images=images, images_seen=state.step * images)
    for term, value in (stats | {"steps": 1.0}).items():
        state.sums[term] = state.sums.get(term, 0.0) + value


def close_interval(state: TrainState, course: Course) -> Stats:
    """Look, and add a row to the curve: the means since the last row, and the figures."""
    figures = course.look(state)
    check_finite(figures, state.step - 1)
    steps = state.sums.pop("steps")
    row = {term: value / steps for term, value in state.sums.items()} | figures
    state.curve.append({"step": state.step, **row})
    state.sums = {}
    return row


@dataclass(frozen=True)
class Batches:
    """Random images of a set, and their labels; those of a step depend on its number and on `parts` alone.

    Attributes
    ----------
    parts : the seed; see `seeded_generator`.
    """

    source: Labelled
    size: int
    engine: Engine
    parts: tuple[str | int, ...]

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Images (B, 1, S, S) in [0, 1] and labels (B,)."""
        generator = seeded_generator(*self.parts, step)
        chosen = torch.randint(len(self.source), (self.size,), generator=generator)
        return send_images(self.engine, self.source.images[chosen]), self.engine.send(
            self.source.labels[chosen]
        )


def send_images(engine: Engine, pixels: Tensor) -> Tensor:
    """Bytes (B, C, S, S) as images in [0, 1] on the device."""
    return engine.send(pixels.float() / 255)


def new_player(network: nn.Module, lr: float, engine: Engine) -> Player:
    """A network in training, and its optimiser (Adam)."""
    placed = engine.place(network).train()
    return Player(placed, torch.optim.Adam(placed.parameters(), lr=lr, betas=BETAS, fused=True), lr)


def average_of(player: Player, settings: Learning) -> Ema:
    """The average of a player's weights, so far its weights themselves."""
    return Ema(player.network, half_life_images=settings.ema_half_life_images)

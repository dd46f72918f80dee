"""Looks after an adversarial training, and takes it back to where it was healthy when it is ruined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from tqdm import tqdm

from degrain.params import Params
from degrain.training.checkpoint import Checkpoint
from degrain.training.descend import Diverged, Stats
from degrain.training.health import ADVICE, JUDGED, Condition, Diagnosis, Ruined, diagnose, medians
from degrain.training.loop import Guard, Log, Unguarded
from degrain.training.state import TrainState
from degrain.training_params import Train

# A checkpoint is healthy only this share of the fall that is borne below the start: not on the brink.
SAFE_SHARE = 0.5


class TagLog(Log, Protocol):
    """A log that also takes words."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Take words that hold for the whole training."""
        ...


class HealthGuard:
    """The `Guard` of adversarial training; what it remembers is `TrainState.chart`, so that it resumes.

    Parameters
    ----------
    healthy : where the last healthy state is kept.
    log : gets the condition and the rescues as tags and metrics.
    """

    def __init__(self, train: Train, healthy: Checkpoint, log: TagLog) -> None:
        self.train, self.limits, self.healthy, self.log = train, train.health, healthy, log
        self._said: dict[str, str] = {}

    def begin(self, state: TrainState, validate: Callable[[TrainState], Stats]) -> None:
        """Measure where a fresh training starts from, and keep that as healthy."""
        if state.step or state.chart.rescues:
            return
        figures = validate(state)
        state.chart.start_psnr = figures.get("val_psnr")
        self.log.log_metrics(0, figures | {"rescues": 0.0})
        self.healthy.save(state.state_dict())

    def look(self, state: TrainState, stats: Stats, figures: Stats) -> None:
        """Take in a step, and what validation said after it, if it did.

        Raises
        ------
        Ruined : the training has collapsed or diverged.
        """
        chart = state.chart
        for name in set(JUDGED) & stats.keys():
            chart.window.setdefault(name, []).append(stats[name])
        steps = max(map(len, chart.window.values()), default=0)
        # Validation closes a window that is half full, so that what is kept then is known to be healthy;
        # with fewer steps since the last window, nobody knows, and nothing is kept.
        enough = self.limits.window / 2 if figures else self.limits.window
        if steps >= enough or (state.step == self.train.steps and not chart.condition):
            self._judge(state, steps)
        if figures:
            self._after_validation(state, figures)

    def _judge(self, state: TrainState, steps: int) -> None:
        """What the window that ends here says of the training."""
        chart, figures = state.chart, medians(state.chart.window)
        found = diagnose(figures, chart.best, self.train)
        seen = f"steps {state.step - steps + 1} to {state.step}: {found.seen}"
        if found.condition.is_ruined:
            raise Ruined(Diagnosis(found.condition, seen))
        if found.condition != (chart.condition or Condition.HEALTHY):
            tqdm.write(f"train: {found.condition}; {seen}" if found.seen else "train: healthy again")
        chart.window, chart.condition = {}, found.condition.value
        chart.best = {name: max(value, chart.best.get(name, value)) for name, value in figures.items()}
        self._tag(found.condition, seen if found.seen else "none")

    def _after_validation(self, state: TrainState, figures: Stats) -> None:
        """Compare with the start; keep a healthy state; complete the curve's row."""
        chart, limits = state.chart, self.limits
        fall_db = 0.0
        if chart.start_psnr is not None and "val_psnr" in figures:
            fall_db = chart.start_psnr - figures["val_psnr"]
        if fall_db > limits.fall_db:
            seen = (
                f"step {state.step}: val_psnr = {figures['val_psnr']:.2f} dB, {fall_db:.2f} below the start; "
                f"expected at most {limits.fall_db:g} (train.health.fall_db)"
            )
            raise Ruined(Diagnosis(Condition.DIVERGED, seen))
        condition = chart.condition or Condition.HEALTHY.value
        state.curve[-1] |= {"rescues": chart.rescues, "state": condition}
        judged = not chart.window
        if judged and condition == Condition.HEALTHY and fall_db <= SAFE_SHARE * limits.fall_db:
            self.healthy.save(state.state_dict())

    def rescue(self, state: TrainState, error: Diverged) -> None:
        """Take a ruined training back to its last healthy state, with smaller learning rates.

        Raises
        ------
        Diverged : it was rescued as often as it may be; says what was seen each time, and what to do.
        """
        condition = error.condition if isinstance(error, Ruined) else Condition.DIVERGED
        self._tag(condition, error.seen)
        kept = self.healthy.load() if state.chart.rescues < self.limits.rescues else None
        if kept is None:
            raise _given_up(condition, error, state.chart.history) from None
        reached, before = state.step, state.chart
        state.load_state_dict(kept)
        rate = before.rate * self.limits.rescue_rate
        state.chart = replace(
            state.chart,
            condition="",
            rate=rate,
            rescues=before.rescues + 1,
            discarded=before.discarded + reached - state.step,
            history=[*before.history, f"{condition}, {error.seen}; back to step {state.step}"],
        )
        tqdm.write(
            f"train: {state.chart.history[-1]}, with learning rates of {rate:.3g} times what the params say "
            f"(rescue {state.chart.rescues} of {self.limits.rescues})"
        )
        self.log.log_metrics(state.done, {"rescues": float(state.chart.rescues)})
        self._tag(condition, error.seen, state.chart.history)

    def _tag(self, condition: Condition, seen: str, history: list[str] | None = None) -> None:
        """Say what is new of it."""
        tags = {"state": condition.value, "health.diagnosis": seen}
        if history:
            tags |= {"health.rescues": str(len(history)), "health.history": "\n".join(history)}
        if tags.items() - self._said.items():
            self._said |= tags
            self.log.set_tags(tags)


def _given_up(condition: Condition, error: Diverged, history: list[str]) -> Diverged:
    """What is raised after the last rescue: all that was seen, in order."""
    times = f"{len(history)} rescue{'s' * (len(history) != 1)}"
    seen = "\n  ".join([f"train: {condition} after {times}:", *history, error.seen])
    return Diverged(seen, f"{ADVICE[condition]} (params.yaml)")


def health_guard(params: Params, checkpoint: Checkpoint, log: TagLog) -> Guard:
    """What looks after the stage train, as the params say."""
    if not params.train.health.enabled:
        return Unguarded()
    return HealthGuard(params.train, checkpoint.beside("healthy.pt"), log)

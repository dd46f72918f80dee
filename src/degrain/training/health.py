"""What the figures of an adversarial training say: healthy, one player wins, collapse, diverged."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from degrain.training.descend import Diverged
from degrain.training_params import Train


class Condition(StrEnum):
    """How a training is, from well to worst."""

    HEALTHY = "healthy"
    GENERATOR_WINS = "generator wins"
    DISCRIMINATOR_WINS = "discriminator wins"
    COLLAPSE = "collapse"
    DIVERGED = "diverged"

    @property
    def is_ruined(self) -> bool:
        """Whether the weights are spoilt: going on from them would be in vain."""
        return self in (Condition.COLLAPSE, Condition.DIVERGED)


class Diagnosis(NamedTuple):
    """A condition, and the figure that it is seen by."""

    condition: Condition
    seen: str


# What each condition is told by; their medians over a window are judged.
JUDGED = (
    "real_accuracy",
    "fake_accuracy",
    "told_apart",
    "update_ratio",
    "gain_db",
    "detail",
    "variety",
    "diversity",
)
SHARES = ("variety", "diversity", "detail")  # of the clean images, which have 1

ADVICE: Mapping[Condition, str] = {
    Condition.GENERATOR_WINS: "Raise train.discriminator_lr, or lower train.lr",
    Condition.DISCRIMINATOR_WINS: (
        "Lower train.discriminator_lr, or switch on train.stabilisers.r1, instance_noise or augmentation"
    ),
    Condition.COLLAPSE: (
        "Lower train.lr, raise train.pixel.weight (with model.stochastic: train.sampling.energy_weight), or "
        "switch on train.discriminator.minibatch_std"
    ),
    Condition.DIVERGED: (
        "Lower train.lr, train.discriminator_lr or train.adversarial.weight, or switch on "
        "train.stabilisers.r1; if the fall is wanted, raise train.health.fall_db"
    ),
}


class Ruined(Diverged):
    """A training whose weights are spoilt though all its figures are finite."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.seen, ADVICE[diagnosis.condition])
        self.condition = diagnosis.condition


def medians(window: Mapping[str, list[float]]) -> dict[str, float]:
    """The usual value of each figure, which no single noisy step moves."""
    return {name: statistics.median(values) for name, values in window.items()}


def diagnose(figures: Mapping[str, float], best: Mapping[str, float], train: Train) -> Diagnosis:
    """The worst condition that the figures of a window speak for.

    Parameters
    ----------
    figures : medians, by name; what is not measured is not judged.
    best : the highest medians of the windows before.
    """
    worst = next(_symptoms(figures, best, train), None)
    return worst or Diagnosis(Condition.HEALTHY, "")


def _symptoms(figures: Mapping[str, float], best: Mapping[str, float], train: Train) -> Iterator[Diagnosis]:
    """All that the figures speak for, the worst first."""
    limits = train.health
    # A generator that has learned little leaves noise in, and noise is detail: only a rise tells.
    most_detail = limits.detail * max(best.get("detail", float("inf")), 1.0)
    for name, most in (("update_ratio", limits.update_ratio), ("detail", most_detail)):
        if figures.get(name, 0.0) > most:
            yield _told(Condition.DIVERGED, f"{name} = {figures[name]:.3g}", f"at most {most:.3g}", name)
    for name in SHARES:
        # More than the clean images have is nothing to come up to.
        least = limits.collapse * min(best.get(name, 0.0), 1.0)
        if figures.get(name, least) < least:
            yield _told(
                Condition.COLLAPSE, f"{name} = {figures[name]:.3g}", f"at least {least:.3g}", "collapse"
            )
    if "gain_db" in figures and figures["gain_db"] < (least := best.get("gain_db", -1e9) - limits.fall_db):
        yield _told(
            Condition.DIVERGED, f"gain_db = {figures['gain_db']:.2f}", f"at least {least:.2f}", "fall_db"
        )
    if "told_apart" in figures:
        yield from _winners(figures, train)


def _winners(figures: Mapping[str, float], train: Train) -> Iterator[Diagnosis]:
    limits, apart = train.health, figures["told_apart"]
    accuracy = (figures["real_accuracy"] + figures["fake_accuracy"]) / 2
    # A critic, which bounds its slope, is meant to be right.
    if accuracy > limits.discriminator_wins and train.adversarial.loss != "wasserstein":
        expected = f"at most {limits.discriminator_wins:g}"
        yield _told(
            Condition.DISCRIMINATOR_WINS, f"accuracy = {accuracy:.3f}", expected, "discriminator_wins"
        )
    if apart < limits.generator_wins:
        expected = f"at least {limits.generator_wins:g}"
        yield _told(Condition.GENERATOR_WINS, f"told_apart = {apart:.3f}", expected, "generator_wins")


def _told(condition: Condition, found: str, expected: str, setting: str) -> Diagnosis:
    return Diagnosis(condition, f"{found}; expected {expected} (train.health.{setting})")

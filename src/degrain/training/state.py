"""What a training changes: networks, optimisers, averages, and the step it is at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from degrain.compute import Engine
from degrain.training.ema import Ema


@dataclass
class Player:
    """A network, its optimiser and how it is driven.

    lr : at the top of the schedule. gradient_clip : largest norm of the gradient, or None.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    lr: float
    gradient_clip: float | None = None

    def set_lr(self, factor: float) -> None:
        """Set the learning rate to a share of its top."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * factor


@dataclass
class Memory:
    """What the stabilisers of adversarial training carry from step to step.

    augmentation : probability that the discriminator is shown something changed.
    real_logit, fake_logit : moving averages.
    averages : of each player's weights over all steps, (N,).
    """

    augmentation: float = 0.0
    real_logit: float = 0.0
    fake_logit: float = 0.0
    averages: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Chart:
    """What a guard (`training/loop.py`) has found out about a training, and done for it.

    rate : share of the learning rates of the params that is in use.
    rescues : how often it went back. discarded : steps that were lost by that.
    condition : what the last window of steps spoke for; empty before the first. history : of the rescues.
    start_psnr : of validation before the first step, in dB.
    window : figures of the steps since the last window. best : best values of the windows so far.
    """

    rate: float = 1.0
    rescues: int = 0
    discarded: int = 0
    condition: str = ""
    history: list[str] = field(default_factory=list)
    start_psnr: float | None = None
    window: dict[str, list[float]] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)


@dataclass
class TrainState:
    """Everything that changes during a training; `step` counts the finished ones.

    curve : a row for every validation. sums : of the figures of the steps since the last one.
    """

    engine: Engine
    generator: Player
    ema: Ema
    discriminator: Player | None = None
    step: int = 0
    curve: list[dict[str, float | str]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    chart: Chart = field(default_factory=Chart)

    @property
    def done(self) -> int:
        """The steps that were computed, discarded ones included: what logs count by, for it never falls."""
        return self.step + self.chart.discarded

    def players(self) -> dict[str, Player]:
        """The players by name."""
        players = {"generator": self.generator}
        return players | ({"discriminator": self.discriminator} if self.discriminator else {})

    def state_dict(self) -> dict[str, object]:
        """All of it, as tensors and plain values."""
        return {
            "step": self.step,
            "curve": self.curve,
            "sums": self.sums,
            "memory": vars(self.memory),
            "chart": vars(self.chart),
            "ema": self.ema.network.state_dict(),
            **{
                name: {"network": player.network.state_dict(), "optimizer": player.optimizer.state_dict()}
                for name, player in self.players().items()
            },
        }

    def load_state_dict(self, state: dict) -> None:  # type: ignore[type-arg]
        """Become what `state_dict` gave."""
        self.step, self.curve, self.sums = state["step"], state["curve"], state["sums"]
        averages = {name: self.engine.send(value) for name, value in state["memory"]["averages"].items()}
        self.memory = Memory(**state["memory"] | {"averages": averages})
        self.chart = Chart(**state["chart"])
        self.ema.network.load_state_dict(state["ema"])
        for name, player in self.players().items():
            player.network.load_state_dict(state[name]["network"])
            player.optimizer.load_state_dict(state[name]["optimizer"])


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Let gradients through a network, but none into its weights."""
    network.requires_grad_(requires_grad=False)
    try:
        yield
    finally:
        network.requires_grad_(requires_grad=True)

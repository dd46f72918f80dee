"""Stage pretrain: the generator alone, on a pixel loss."""

from pathlib import Path

from degrain.build.generator import build_generator, load_generator, read_description
from degrain.build.pixel_losses import PIXEL
from degrain.build.released import released_for, released_path
from degrain.compute import Engine
from degrain.params import Params
from degrain.stages._main import run
from degrain.training.loop import Step
from degrain.training.pixel import PixelStep
from degrain.training.run import run_training
from degrain.training.setup import start_state
from degrain.training.state import TrainState
from degrain.training.watch import GradientWatch


def start(params: Params, engine: Engine) -> tuple[TrainState, Step]:
    """The released generator if `model` is the same network, otherwise a fresh one."""
    settings, channels = params.pretrain, params.data.channels
    released = released_for(params.model, channels) if settings.start == "auto" else None
    print(f"pretrain: {_said(params, released)}")
    generator = load_generator(released)[0] if released else build_generator(params.model, channels)
    return start_state(generator, settings, engine), PixelStep(PIXEL[settings.loss], settings.balance_levels)


def _said(params: Params, released: Path | None) -> str:
    """What it goes on from; where that is nothing although something was wanted, what that takes."""
    if released:
        return f"on from {released.name}, released with degrain"
    if params.pretrain.start == "none":
        return "from nothing"
    ours = read_description(released_path("faithful", params.data.channels))[0].in_use
    settings = ", ".join(f"{name} {value}" for name, value in ours.items())
    return (
        "from nothing, which takes pretrain.steps=9000 at least, with pretrain.lr=0.002; "
        f"the weights released for {params.data.channels} channel(s) are of another model: {settings}"
    )


def main(params: Params) -> None:
    """Train it."""
    run_training("pretrain", params, start, guard=lambda *_: GradientWatch())


if __name__ == "__main__":
    run(main)

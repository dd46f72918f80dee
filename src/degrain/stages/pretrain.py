"""Stage pretrain: the generator alone, on a pixel loss."""

from degrain.build.generator import build_generator, load_generator
from degrain.build.pixel_losses import PIXEL
from degrain.build.released import released_for
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
    print(
        f"pretrain: on from {released.name}, released with degrain" if released else "pretrain: from nothing"
    )
    generator = load_generator(released)[0] if released else build_generator(params.model, channels)
    return start_state(generator, settings, engine), PixelStep(PIXEL[settings.loss], settings.balance_levels)


def main(params: Params) -> None:
    """Train it."""
    run_training("pretrain", params, start, guard=lambda *_: GradientWatch())


if __name__ == "__main__":
    run(main)

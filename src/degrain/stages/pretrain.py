"""Stage pretrain: the generator alone, on a pixel loss."""

from degrain.build.generator import build_generator
from degrain.build.pixel_losses import PIXEL
from degrain.build.released import released_generator
from degrain.compute import Engine
from degrain.params import Params
from degrain.stages._main import run
from degrain.training.loop import Step
from degrain.training.pixel import PixelStep
from degrain.training.run import run_training
from degrain.training.setup import start_state
from degrain.training.state import TrainState


def start(params: Params, engine: Engine) -> tuple[TrainState, Step]:
    """A fresh generator, or the released one."""
    settings = params.pretrain
    build = released_generator if settings.start == "released" else build_generator
    generator = build(params.model, params.data.channels)
    return start_state(generator, settings, engine), PixelStep(PIXEL[settings.loss], settings.balance_levels)


def main(params: Params) -> None:
    """Train it."""
    run_training("pretrain", params, start)


if __name__ == "__main__":
    run(main)

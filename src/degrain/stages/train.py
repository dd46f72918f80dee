"""Stage train: generator against discriminator, on from the pretrained generator."""

from pathlib import Path

from degrain.build.discriminator import build_discriminator
from degrain.build.generator import load_generator
from degrain.compute import Engine
from degrain.params import Params
from degrain.stages._main import run
from degrain.training.adversarial import adversarial_step, discriminator_player
from degrain.training.diversity import adversarial_validator
from degrain.training.loop import Step
from degrain.training.rescue import health_guard
from degrain.training.run import run_training
from degrain.training.sampling import SamplingStep
from degrain.training.setup import start_state
from degrain.training.state import TrainState

PRETRAINED = Path("models/pretrain/generator.safetensors")


def start(params: Params, engine: Engine) -> tuple[TrainState, Step]:
    """The pretrained generator and a fresh discriminator."""
    settings = params.train
    critic = build_discriminator(settings.discriminator, params.data.channels, side_px=settings.patch_size)
    player = discriminator_player(critic, settings.discriminator_lr, engine)
    generator, _ = load_generator(PRETRAINED, stochastic=params.model.stochastic)
    state = start_state(generator, settings, engine, discriminator=player)
    step = adversarial_step(settings, player, seed=params.seed)
    return state, SamplingStep(step, settings.sampling, params.seed) if params.model.stochastic else step


def main(params: Params) -> None:
    """Train both."""
    run_training(
        *("train", params, start),
        validate=adversarial_validator,
        guard=health_guard,
        pretrained=PRETRAINED,
    )


if __name__ == "__main__":
    run(main)

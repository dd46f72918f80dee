"""Stage train: generator against discriminator, on from the pretrained generator."""

from pathlib import Path

import torch

from degrain.build.discriminator import build_discriminator
from degrain.build.generator import load_generator, save_generator, save_weights
from degrain.compute import start_engine
from degrain.params import Params
from degrain.stages._main import run
from degrain.tracking import training_run
from degrain.training.adversarial import adversarial_step, discriminator_player
from degrain.training.checkpoint import Checkpoint, alone, stage_key
from degrain.training.curve import write_curve
from degrain.training.loop import Plan, fit
from degrain.training.setup import patch_dataset, start_state, validator

STAGE = "train"
PRETRAINED = Path("models/pretrain/generator.safetensors")
MODELS = Path("models/train")
CURVE = Path("reports/curves/train.csv")


def main(params: Params) -> None:
    """Train, on from the checkpoint if there is one, and write both networks and the curve."""
    settings, engine = params.train, start_engine(params.compute)
    checkpoint = Checkpoint(STAGE, stage_key(STAGE, params))
    with alone(STAGE), training_run(STAGE, params, checkpoint.folder, pretrained=PRETRAINED) as log:
        torch.manual_seed(params.seed)
        critic = build_discriminator(settings.discriminator, params.data.channels)
        discriminator = discriminator_player(critic, settings.discriminator_lr, engine)
        generator, channels = load_generator(PRETRAINED)
        state = start_state(generator, settings, engine, discriminator=discriminator)
        data, step = patch_dataset(params, settings, STAGE), adversarial_step(settings, discriminator)
        plan = Plan(settings, data, step, validator(params, log.log_picture))
        fit(state, plan, checkpoint=checkpoint, log=log, name=STAGE)
        save_generator(MODELS / "generator.safetensors", state.ema.network, params.model, channels)
        save_weights(
            MODELS / "discriminator.safetensors",
            critic,
            {"section": settings.discriminator.model_dump_json()},
        )
        write_curve(CURVE, state.curve)
        log.log_artifact(CURVE)
        log.log_generator(MODELS / "generator.safetensors")
        checkpoint.finish()


if __name__ == "__main__":
    run(main)

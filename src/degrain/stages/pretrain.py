"""Stage pretrain: the generator alone, on a pixel loss."""

from pathlib import Path

import torch

from degrain.build.generator import build_generator, save_generator
from degrain.build.pixel_losses import PIXEL
from degrain.compute import start_engine
from degrain.params import Params
from degrain.stages._main import run
from degrain.tracking import training_run
from degrain.training.checkpoint import Checkpoint, alone, stage_key
from degrain.training.curve import write_curve
from degrain.training.loop import Plan, fit
from degrain.training.pixel import PixelStep
from degrain.training.setup import patch_dataset, start_state, validator

STAGE = "pretrain"
WEIGHTS = Path("models/pretrain/generator.safetensors")
CURVE = Path("reports/curves/pretrain.csv")


def main(params: Params) -> None:
    """Train, on from the checkpoint if there is one, and write the weights and the curve."""
    settings, engine = params.pretrain, start_engine(params.compute)
    checkpoint = Checkpoint(STAGE, stage_key(STAGE, params))
    with alone(STAGE), training_run(STAGE, params, checkpoint.folder) as log:
        torch.manual_seed(params.seed)
        generator = build_generator(params.model, params.data.channels)
        state = start_state(generator, settings, engine, weight_decay=settings.weight_decay)
        plan = Plan(
            settings,
            patch_dataset(params, settings, STAGE),
            PixelStep(PIXEL[settings.loss]),
            validator(params, log.log_picture),
        )
        fit(state, plan, checkpoint=checkpoint, log=log, name=STAGE)
        save_generator(WEIGHTS, state.ema.network, params.model, params.data.channels)
        write_curve(CURVE, state.curve)
        log.log_artifact(CURVE)
        log.log_generator(WEIGHTS)
        checkpoint.finish()


if __name__ == "__main__":
    run(main)

"""A training stage from the params to its outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from degrain.build.generator import save_generator
from degrain.build.weights_file import save_weights
from degrain.compute import Engine, start_engine
from degrain.data.noisy import Image
from degrain.params import Params
from degrain.tracking import Run, training_run
from degrain.training.checkpoint import Checkpoint, stage_key
from degrain.training.curve import write_curve
from degrain.training.descend import Stats
from degrain.training.loop import Guard, Plan, Step, Unguarded, fit
from degrain.training.setup import patch_dataset, validator
from degrain.training.state import TrainState
from degrain.training_params import Optimisation

Start = Callable[[Params, Engine], tuple[TrainState, Step]]
GuardFor = Callable[[Params, Checkpoint, Run], Guard]
Show = Callable[[str, int, Image], None]
Validate = Callable[[TrainState], Stats]


def run_training(
    stage: str,
    params: Params,
    start: Start,
    *,
    guard: GuardFor = lambda *_: Unguarded(),
    validate: Callable[[Params, Show], Validate] = validator,
    pretrained: Path | None = None,
) -> None:
    """Train, on from the checkpoint if there is one, and write the weights and the curve.

    Parameters
    ----------
    stage : names the section of the params, the folder of the weights and the curve.
    start : gives the training at its first step.
    guard : gives what looks after the training.
    validate : gives what measures it now and then.
    pretrained : the generator that it starts from, for MLflow.
    """
    settings: Optimisation = getattr(params, stage)
    engine, checkpoint = start_engine(params.compute), Checkpoint(stage, stage_key(stage, params))
    with training_run(stage, params, checkpoint.folder, pretrained=pretrained) as log:
        log.set_tags({"engine": str(engine), "threads": str(params.compute.threads)})
        torch.manual_seed(params.seed)
        state, step = start(params, engine)
        data = patch_dataset(params, settings, stage)
        measure = validate(params, log.log_picture)
        plan = Plan(settings, data, step, measure, guard(params, checkpoint, log))
        fit(state, plan, checkpoint=checkpoint, log=log, name=stage)
        weights, curve = write_outputs(stage, params, state)
        log.log_artifact(curve)
        log.log_generator(weights, pretrained)
        checkpoint.finish()


def write_outputs(stage: str, params: Params, state: TrainState) -> tuple[Path, Path]:
    """Write the networks and the curve; returns the files of the averaged generator and the curve."""
    models, curve = Path(f"models/{stage}"), Path(f"reports/curves/{stage}.csv")
    generator = models / "generator.safetensors"
    save_generator(generator, state.ema.network, params.model, params.data.channels)
    if state.discriminator:
        described = params.train.discriminator.model_dump(mode="json")
        save_weights(models / "discriminator.safetensors", state.discriminator.network, described)
    write_curve(curve, state.curve)
    return generator, curve

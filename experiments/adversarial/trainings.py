"""The training of one row, from the start that all arms share."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from degrain.build.discriminator import build_discriminator
from degrain.build.generator import load_generator, read_description
from degrain.build.pixel_losses import PIXEL
from degrain.build.weights_file import read_metadata, read_weights, save_weights
from degrain.compute import Engine
from degrain.errors import DegrainError
from degrain.files import write_json
from degrain.models.unet import Unet
from degrain.models.variational import VariationalUnet, made_variational
from degrain.params import Params
from degrain.training.adversarial import adversarial_step, discriminator_player
from degrain.training.checkpoint import Checkpoint
from degrain.training.descend import Diverged
from degrain.training.health import Condition
from degrain.training.loop import Plan, Unguarded, fit
from degrain.training.pixel import PixelStep
from degrain.training.rescue import TagLog, health_guard
from degrain.training.setup import patch_dataset, start_state, validator
from degrain.training.state import TrainState
from degrain.training.variational import VariationalStep
from experiments.adversarial.arms import Plans, Row, settings_of
from experiments.adversarial.clock import Clock
from experiments.adversarial.keys import training_key

TRAINED = Path("trained")
STREAM = "study"  # seeds the batches, so that all arms see the same


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    state : its condition and how often it was rescued. failed : there are no weights to speak of.
    """

    steps: int
    seconds: float
    state: str
    rescues: int
    failed: bool


def train(plans: Plans, row: Row, steps: int, engine: Engine) -> tuple[Outcome, Path]:
    """Train a row, on from where it was killed, or take what an earlier call trained.

    Returns
    -------
    How it ended, and the file of its averaged generator, which is not there if it failed.
    """
    key = training_key(plans, row, steps)
    weights, ended = TRAINED / f"{key}.safetensors", TRAINED / f"{key}.json"
    if ended.is_file():
        return Outcome(**json.loads(ended.read_text(encoding="utf-8"))), weights
    params = plans.params(row, steps=steps)
    checkpoint = Checkpoint(STREAM, key)
    clock = Clock(checkpoint)
    state, plan = start(plans, row, params, engine, checkpoint, clock)
    failed = False
    try:
        fit(state, plan, checkpoint=checkpoint, log=clock, name=str(row))
    except Diverged as error:
        failed = True
        tqdm.write(str(error))
    outcome = _outcome(state, clock, failed)
    if not failed:
        save(weights, state.ema.network, plans.start)
    write_json(ended, asdict(outcome))
    checkpoint.finish()
    return outcome, weights


def _outcome(state: TrainState, clock: Clock, failed: bool) -> Outcome:
    """Steps that were lost to rescues count: they took their time."""
    condition = state.chart.condition or Condition.HEALTHY.value
    if failed:
        condition = clock.tags.get("state", Condition.DIVERGED.value)
    rescues = state.chart.rescues
    said = f", {rescues} rescue{'s' * (rescues != 1)}" if rescues else ""
    return Outcome(state.done, round(clock.seconds, 1), condition + said, rescues, failed)


def start(
    plans: Plans, row: Row, params: Params, engine: Engine, checkpoint: Checkpoint, log: TagLog
) -> tuple[TrainState, Plan]:
    """A row's training at its first step."""
    settings, arm = settings_of(params, row.arm), row.arm
    torch.manual_seed(params.seed)
    network = _generator(plans.start, params)
    data = patch_dataset(params, settings, STREAM)
    measure = validator(params, lambda *_: None)
    if arm.trains == "adversarial":
        critic = build_discriminator(
            params.train.discriminator, params.data.channels, side_px=settings.patch_size
        )
        player = discriminator_player(critic, params.train.discriminator_lr, engine)
        step = adversarial_step(params.train, player, seed=params.seed)
        state = start_state(network, settings, engine, discriminator=player)
        return state, Plan(settings, data, step, measure, health_guard(params, checkpoint, log))
    loss, balance = PIXEL[params.pretrain.loss], params.pretrain.balance_levels
    if arm.trains == "pixel":
        state = start_state(network, settings, engine)
        return state, Plan(settings, data, PixelStep(loss, balance), measure, Unguarded())
    grown = made_variational(network, widths=params.model.unet.widths, blocks=params.model.unet.blocks)
    latent = VariationalStep(loss, balance, arm.divergence_weight, params.seed)
    return start_state(grown, settings, engine), Plan(settings, data, latent, measure, Unguarded())


def _generator(path: Path, params: Params) -> Unet:
    """The start, which must be the network of the params."""
    model, channels = read_description(path)
    network, _ = load_generator(path)
    if not isinstance(network, Unet) or (model.in_use, channels) != (
        params.model.in_use,
        params.data.channels,
    ):
        msg = (
            f"{path.name}: {model.in_use} for {channels} channels; expected the unet of the params, "
            f"{params.model.in_use} for {params.data.channels}: name another start, or change model"
        )
        raise DegrainError(msg)
    return network


def save(path: Path, network: nn.Module, start_file: Path) -> None:
    """Write a generator in float16, as released ones are; the network is float16 from then on."""
    described = read_metadata(start_file) | {"variational": isinstance(network, VariationalUnet)}
    save_weights(path, network.half(), described)


def load(path: Path) -> tuple[nn.Module, int]:
    """What `save` wrote, or a released generator, and the channels of its images."""
    model, channels = read_description(path)
    if not read_metadata(path).get("variational"):
        return load_generator(path)
    sizes = model.unet.model_dump(exclude={"equivariant"})
    network = VariationalUnet(channels, **sizes)
    network.load_state_dict(read_weights(path))
    return network.eval(), channels

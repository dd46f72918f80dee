"""What the params say, as the objects of a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from degrain.build.degrader import Degrader
from degrain.compute import Engine
from degrain.data.noisy import Image, NoisySet
from degrain.data.patches import CropDataset, PairDataset, PatchDataset
from degrain.params import Params
from degrain.training.ema import Ema
from degrain.training.muon import Muon
from degrain.training.state import Player, TrainState
from degrain.training.validation import Measure, Validator, measure_once
from degrain.training_params import Optimisation

PATCHES = Path("data/patches")
BETAS = (0.9, 0.99)


def patch_dataset(params: Params, settings: Optimisation, stage: str) -> CropDataset:
    """The training patches of a stage, cut, turned and made noisy as the params say."""
    sizes = {"batch_size": settings.batch_size, "crop": settings.patch_size}
    seed = f"{params.seed} {stage}"
    if params.noise.kind == "pairs":
        return PairDataset(PATCHES, **sizes, seed=seed)
    jitter = params.augment.colour_jitter
    return PatchDataset(PATCHES, Degrader(params.noise), **sizes, colour_jitter=jitter, seed=seed)


def validator(
    params: Params, show: Callable[[str, int, Image], None], measure: Measure = measure_once
) -> Validator:
    """Measures on the validation set; `show` gets a few of the restored pictures."""
    return Validator(
        NoisySet("val"),
        params.validation,
        stride=params.model.stride,
        pictures=params.tracking.pictures,
        show=show,
        measure=measure,
    )


def start_state(
    generator: nn.Module,
    settings: Optimisation,
    engine: Engine,
    *,
    discriminator: Player | None = None,
) -> TrainState:
    """A training at step 0."""
    network = engine.place(generator).train()
    return TrainState(
        engine,
        Player(network, _optimizer(network, settings, engine), settings.lr, settings.gradient_clip),
        Ema(network, half_life_images=settings.ema_half_life_images),
        discriminator,
    )


def _optimizer(network: nn.Module, settings: Optimisation, engine: Engine) -> torch.optim.Optimizer:
    """The one that the params name."""
    lr, decay = settings.lr, settings.weight_decay
    match settings.optimizer:
        case "adamw":
            return torch.optim.AdamW(network.parameters(), lr, BETAS, weight_decay=decay, fused=True)
        case "muon":
            return Muon(network, lr, weight_decay=decay, dtype=engine.dtype)

"""Validation of a generator that takes noise z: how good its samples' mean is, and how much they differ."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from degrain.data.noisy import Image, Pair
from degrain.errors import DegrainError
from degrain.files import to_tensor
from degrain.metrics import psnr, ssim, to_8_bit
from degrain.params import Params
from degrain.seeding import seeded_generator
from degrain.training.descend import Stats
from degrain.training.setup import validator
from degrain.training.state import TrainState
from degrain.training.validation import restore
from degrain.training_params import Train

# Share of the steps in which a generator may go on ignoring z, as it does at the start, without a word.
GRACE = 0.25
logger = logging.getLogger(__name__)


class Collapsed(DegrainError):
    """A generator that gives nearly the same restoration whatever z is."""


def adversarial_validator(
    params: Params, show: Callable[[str, int, Image], None]
) -> Callable[[TrainState], Stats]:
    """Measures on the validation set; of a stochastic generator also how much its samples differ.

    Each image is restored twice, always by the same two z, and a collapse of diversity is looked for.
    val_psnr is that of the mean over all z, estimated without bias, so that the curve goes on from that of
    pretraining; val_ssim is that of the mean of the two. What is shown are single samples, and
    val_sample_psnr is theirs.
    """
    if not params.model.stochastic:
        return validator(params, show)
    base = validator(params, show, partial(measure_twice, seed=params.seed))

    def validate(state: TrainState) -> Stats:
        figures = base(state)
        check_diversity(figures["val_diversity"], state.step, params.train)
        return figures

    return validate


def measure_twice(state: TrainState, pair: Pair, *, seed: int) -> tuple[Image, Stats]:
    """A single sample, and the figures of a pair."""
    generator = seeded_generator(seed, "validation z", pair.name, pair.level)
    shape = to_tensor(pair.noisy).shape
    one, other = (restore(state, pair, torch.randn(shape, generator=generator)) for _ in range(2))
    shown = to_8_bit(one)
    return shown, {
        "val_psnr": -10 * math.log10(error_of_mean(shown, to_8_bit(other), pair.clean)),
        "val_ssim": ssim(to_8_bit((one + other) / 2), pair.clean, data_range=1.0),
        "val_sample_psnr": psnr(shown, pair.clean, data_range=1.0),
        "val_diversity": diversity(one, other, pair.clean),
    }


def check_diversity(found: float, step: int, settings: Train) -> None:
    """Warn of a generator that ignores z, once it has had the time to learn.

    Raises
    ------
    Collapsed : at the last step.
    """
    least = settings.sampling.least_diversity
    if found >= least or step < GRACE * settings.steps:
        return
    msg = (
        f"step {step}: val_diversity = {found:.3g}; expected at least train.sampling.least_diversity = "
        f"{least:g}: the generator ignores z. Lower train.sampling.weight, raise train.adversarial.weight or "
        "train.steps, or let the discriminator see the noisy image too (train.discriminator.conditional)"
    )
    if step == settings.steps:
        raise Collapsed(msg)
    logger.warning(msg)


def diversity(one: Image, other: Image, clean: Image) -> float:
    """Variance over z by the squared error of the mean over all z, from two samples (H, W, C), both unbiased.

    0 for a generator that ignores z; 1 for samples of all that the clean image, given the noisy one, may be.
    """
    variance = float(np.mean((one - other) ** 2)) / 2
    return variance / error_of_mean(one, other, clean)


def error_of_mean(one: Image, other: Image, clean: Image) -> float:
    """Squared error of the mean over all z, estimated without bias from two samples; at least 1e-12."""
    return max(float(np.mean((one - clean) * (other - clean))), 1e-12)

"""params.yaml, sections validation, pretrain and train: how generators are trained."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from degrain.health_params import Health
from degrain.sampling_params import Sampling
from degrain.section import Section
from degrain.stabiliser_params import Stabilisers

PixelLoss = Literal["l1", "charbonnier", "mse"]
AdversarialLoss = Literal[
    "minimax",
    "non-saturating",
    "lsgan",
    "hinge",
    "wasserstein",
    "relativistic-average",
    "relativistic-pairing",
]
# The adversarial losses that compare scores with labels.
LABELLED = ("minimax", "non-saturating", "lsgan")


class Validation(Section):
    """What the curves of both trainings are measured on."""

    images: PositiveInt
    crop_px: Annotated[int, Field(ge=32)]


class Optimisation(Section):
    """What both training stages set."""

    steps: PositiveInt
    batch_size: PositiveInt
    patch_size: PositiveInt
    optimizer: Literal["adamw", "muon"]
    lr: PositiveFloat
    weight_decay: NonNegativeFloat
    warmup_steps: NonNegativeInt
    gradient_clip: PositiveFloat
    ema_half_life_images: PositiveFloat
    validate_every: PositiveInt


class Pretrain(Optimisation):
    """The generator alone, on a pixel loss."""

    start: Literal["auto", "none"]
    loss: PixelLoss | Literal["log-mse"]
    balance_levels: bool

    @model_validator(mode="after")
    def _balances_once(self) -> Self:
        if self.loss == "log-mse" and self.balance_levels:
            msg = "balance_levels = True; expected false with loss: log-mse, which balances levels by itself"
            raise ValueError(msg)
        return self


class PixelTerm(Section):
    """The pixel loss's part in the generator's loss."""

    loss: PixelLoss
    weight: NonNegativeFloat


class AdversarialTerm(Section):
    """The discriminator's part in the generator's loss."""

    loss: AdversarialLoss
    weight: NonNegativeFloat


class WeightedTerm(Section):
    """The part of another distance in the generator's loss; 0 switches it off."""

    weight: NonNegativeFloat


class Discriminator(Section):
    """The network that tells restored from real."""

    kind: Literal["unet", "patchgan", "dcgan"]
    width: PositiveInt
    spectral_norm: bool
    minibatch_std: bool
    conditional: bool


class Train(Optimisation):
    """Generator against discriminator."""

    discriminator_lr: PositiveFloat
    pixel: PixelTerm
    ms_ssim: WeightedTerm
    focal_frequency: WeightedTerm
    perceptual: WeightedTerm
    adversarial: AdversarialTerm
    feature_matching: WeightedTerm
    discriminator: Discriminator
    stabilisers: Stabilisers
    health: Health
    sampling: Sampling

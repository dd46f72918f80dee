"""The stabilisers of adversarial training in params.yaml; a weight of 0 switches one off."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from degrain.section import Section


class LazyPenalty(Section):
    """A penalty that counts every so many steps, and so many times as much.

    Source: lazy regularisation, Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020.
    """

    weight: NonNegativeFloat
    every: PositiveInt


class GradientPenalty(Section):
    """What holds the norm of the gradient at 1; auto: as in its paper with wasserstein, none otherwise."""

    weight: Literal["auto"] | NonNegativeFloat


class HistoricalAveraging(Section):
    """What holds both players' weights near their averages."""

    weight: NonNegativeFloat


class Augmentation(Section):
    """Random turns, shifts and colours of what the discriminator sees."""

    enabled: bool
    target: Annotated[float, Field(ge=0, le=1)]
    ramp_images: PositiveFloat


class LeCam(Section):
    """What holds logits near the usual ones of the other side."""

    weight: NonNegativeFloat
    decay: Annotated[float, Field(ge=0, lt=1)]


class InstanceNoise(Section):
    """Noise on what the discriminator sees, fading away."""

    sigma_255: NonNegativeFloat
    until: Annotated[float, Field(gt=0, le=1)]


class Stabilisers(Section):
    """All of them."""

    r1: LazyPenalty
    r2: LazyPenalty
    gradient_penalty: GradientPenalty
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)]
    historical_averaging: HistoricalAveraging
    lecam: LeCam
    augmentation: Augmentation
    instance_noise: InstanceNoise

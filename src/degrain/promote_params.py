"""The rules of the gate in params.yaml: what a new model must show to become the champion."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat

from degrain.section import Section


class Floor(Section):
    """What a model must reach where there is no champion yet."""

    psnr_db: float
    ssim: Annotated[float, Field(ge=-1, le=1)]


class Promote(Section):
    """The rules; PSNR in dB, means over the test images and levels."""

    psnr_gain_db: float
    ssim_loss: NonNegativeFloat
    gmsd_rise: NonNegativeFloat
    level_loss_db: NonNegativeFloat
    over_noisy_db: float
    over_filter_db: float
    confidence: Annotated[float, Field(ge=0, lt=1)]
    ms_per_mpx: PositiveFloat
    size_mb: PositiveFloat
    floor: Floor

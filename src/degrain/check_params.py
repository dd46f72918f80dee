"""What counts as a clean image, in params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat

from degrain.section import Section

Share = Annotated[float, Field(ge=0, le=1)]
Pattern = Annotated[str, Field(min_length=1)]


class Checks(Section):
    """Limits beyond which a clean image would poison the model; `accept` names exceptions."""

    noise_255: NonNegativeFloat
    typical_noise_255: NonNegativeFloat
    clipped: Share
    flat: Share
    pair_shift_px: NonNegativeFloat
    pair_brightness_255: NonNegativeFloat
    pair_unlike: NonNegativeFloat
    accept: tuple[Pattern, ...]

"""What counts as a healthy adversarial training in params.yaml, and what is done about one that is not."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from degrain.section import Section

Share = Annotated[float, Field(ge=0, le=1)]


class Health(Section):
    """Thresholds for the medians of a window of steps, and the rescues."""

    enabled: bool
    window: PositiveInt
    discriminator_wins: Share
    generator_wins: Share
    collapse: Share
    update_ratio: PositiveFloat
    detail: Annotated[float, Field(gt=1)]
    fall_db: PositiveFloat
    rescues: NonNegativeInt
    rescue_rate: Annotated[float, Field(gt=0, lt=1)]

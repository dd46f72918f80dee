"""How generators that take noise z are trained, in params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat

from degrain.section import Section


class Sampling(Section):
    """What takes the place of the distances to the clean image in the generator's loss."""

    samples: Annotated[int, Field(ge=2)]
    weight: PositiveFloat
    energy_weight: NonNegativeFloat
    spread_weight: NonNegativeFloat
    least_diversity: NonNegativeFloat

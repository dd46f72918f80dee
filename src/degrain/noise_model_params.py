"""How noise is learned from noisy images, in params.yaml."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from degrain.section import Section


class SmoothBlocks(Section):
    """Where an image is smooth enough to show its noise."""

    side_px: Annotated[int, Field(ge=8)]
    cell_px: PositiveInt
    mean_tolerance: PositiveFloat
    variance_tolerance: PositiveFloat
    most_variance: Annotated[float, Field(ge=1)]
    most_coherence: Annotated[float, Field(gt=0, le=1)]
    per_image: PositiveInt

    @model_validator(mode="after")
    def _sides_fit(self) -> Self:
        if self.side_px % (2 * self.cell_px):
            msg = (
                f"side_px = {self.side_px}; expected a multiple of 2 x cell_px = {2 * self.cell_px}, "
                "so that a block is compared with several cells"
            )
            raise ValueError(msg)
        return self


class NoiseModelSection(Section):
    """The generator of noise, its critic and their training."""

    blocks: SmoothBlocks
    z_length: PositiveInt
    width: PositiveInt
    steps: PositiveInt
    critic_steps: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    lr: PositiveFloat
    gradient_penalty: PositiveFloat
    warmup_steps: NonNegativeInt
    ema_half_life_images: PositiveFloat

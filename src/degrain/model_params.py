"""params.yaml, section model: which generator, and of what size."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from degrain.section import Section


class Unet(Section):
    """Settings of the U-Net generator."""

    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    blocks: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    stem_stride: PositiveInt
    equivariant: bool

    @model_validator(mode="after")
    def _channels_in_eights(self) -> Self:
        if self.equivariant and any(width % 8 for width in self.widths):
            msg = f"widths = {list(self.widths)}; expected multiples of 8 with equivariant: true"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _as_many_blocks_as_widths(self) -> Self:
        if len(self.blocks) != len(self.widths):
            msg = f"blocks = {list(self.blocks)}; expected {len(self.widths)} numbers, one for each of widths"
            raise ValueError(msg)
        return self


class Dncnn(Section):
    """Settings of the DnCNN generator."""

    depth: Annotated[int, Field(ge=3)]
    width: PositiveInt


class Model(Section):
    """The generator in use and the settings of all of them."""

    generator: Literal["unet", "dncnn"]
    stochastic: bool
    unet: Unet
    dncnn: Dncnn

    @model_validator(mode="after")
    def _only_some_take_z(self) -> Self:
        if self.stochastic and self.generator != "unet":
            msg = f"stochastic = True; expected false with generator = {self.generator}, or unet"
            raise ValueError(msg)
        return self

    @property
    def stride(self) -> int:
        """Image sides that the generator takes without padding are multiples of this."""
        unet = self.unet
        return unet.stem_stride * 2 ** (len(unet.widths) - 1) if self.generator == "unet" else 1

    @property
    def in_use(self) -> dict[str, object]:
        """The generator's name and its settings; those of the others don't matter."""
        settings: Section = getattr(self, self.generator)
        return {"generator": self.generator, **settings.model_dump(mode="json")}

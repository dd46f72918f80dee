"""The noise models in params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from degrain.section import Section

SyntheticKind = Literal[
    "gaussian",
    "poisson",
    "poisson-gaussian",
    "salt-pepper",
    "speckle",
    "jpeg",
    "correlated",
    "learned",
    "chain",
]
NoiseKind = SyntheticKind | Literal["pairs"]

Level = NonNegativeFloat
LevelRange = tuple[Level, Level]


class Noise(Section):
    """The levels of one noise model: what to train on and what to test at."""

    train: Level | LevelRange
    test: Annotated[tuple[Level, ...], Field(min_length=1)]

    @property
    def train_range(self) -> LevelRange:
        """(weakest, strongest) level for training."""
        return self.train if isinstance(self.train, tuple) else (self.train, self.train)

    def levels(self) -> tuple[float, ...]:
        """Every level named, for checks."""
        return (*self.train_range, *self.test)


class PositiveNoise(Noise):
    """Noise of which level 0 does not exist."""

    @model_validator(mode="after")
    def _levels_are_positive(self) -> Self:
        if min(self.levels()) <= 0:
            msg = "expected levels above 0"
            raise ValueError(msg)
        return self


class ShareNoise(Noise):
    """Noise whose level is a share."""

    @model_validator(mode="after")
    def _levels_are_shares(self) -> Self:
        if max(self.levels()) > 1:
            msg = "expected levels from 0 to 1"
            raise ValueError(msg)
        return self


class JpegNoise(Noise):
    """JPEG's quality as the level."""

    @model_validator(mode="after")
    def _levels_are_qualities(self) -> Self:
        if not all(1 <= level <= 95 for level in self.levels()):
            msg = "expected qualities from 1 to 95"
            raise ValueError(msg)
        return self


class PoissonGaussianNoise(Noise):
    """Shot noise by its gain, and read noise."""

    read_noise_255: NonNegativeFloat


class CorrelatedNoise(Noise):
    """Low-pass filtered noise."""

    blur_px: PositiveFloat


class LearnedNoise(PositiveNoise):
    """Noise of a generator that learned it."""

    generator: Annotated[str, Field(min_length=1)]


class ChainNoise(ShareNoise):
    """Several noise models in a row."""

    kinds: Annotated[tuple[SyntheticKind, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _no_chain_in_a_chain(self) -> Self:
        if "chain" in self.kinds:
            msg = "a chain cannot hold a chain"
            raise ValueError(msg)
        return self


class NoiseSection(Section):
    """The noise model in use and the settings of all of them."""

    kind: NoiseKind
    real_test: bool
    quantize: bool
    gaussian: Noise
    poisson: PositiveNoise
    poisson_gaussian: PoissonGaussianNoise
    salt_pepper: ShareNoise
    speckle: Noise
    jpeg: JpegNoise
    correlated: CorrelatedNoise
    learned: LearnedNoise
    chain: ChainNoise

    @property
    def tests_on_pairs(self) -> bool:
        """Whether the noise of the validation and test images is real."""
        return self.real_test or self.kind == "pairs"

    @property
    def synthetic_kind(self) -> SyntheticKind:
        """The noise model in use.

        Raises
        ------
        ValueError : there is none; the noise is real.
        """
        if self.kind == "pairs":
            msg = "noise.kind = pairs: real noise cannot be drawn"
            raise ValueError(msg)
        return self.kind

    @property
    def learned_generator(self) -> str | None:
        """File of the generator of learned noise, if it is in use."""
        in_use = self.chain.kinds if self.kind == "chain" else (self.kind,)
        return self.learned.generator if "learned" in in_use else None

    def settings(self, kind: SyntheticKind) -> Noise:
        """The settings of one kind."""
        settings: Noise = getattr(self, kind.replace("-", "_"))
        return settings

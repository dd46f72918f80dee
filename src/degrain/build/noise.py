"""noise.kind -> noise model; levels for files and for training."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from degrain.build.learned_noise import load_block_noise
from degrain.noise import (
    Chain,
    Correlated,
    Gaussian,
    Jpeg,
    Learned,
    Link,
    NoiseModel,
    Poisson,
    PoissonGaussian,
    SaltPepper,
    Speckle,
)
from degrain.noise_params import Noise, NoiseSection, SyntheticKind

_WITHOUT_SETTINGS: dict[SyntheticKind, NoiseModel] = {
    "gaussian": Gaussian(),
    "poisson": Poisson(),
    "salt-pepper": SaltPepper(),
    "speckle": Speckle(),
    "jpeg": Jpeg(),
}


def build_noise(section: NoiseSection) -> NoiseModel:
    """Build the noise model that `section.kind` names; quantising is left to the caller."""
    return _build_kind(section.synthetic_kind, section)


def _build_kind(kind: SyntheticKind, section: NoiseSection) -> NoiseModel:
    match kind:
        case "poisson-gaussian":
            return PoissonGaussian(section.poisson_gaussian.read_noise_255)
        case "correlated":
            return Correlated(section.correlated.blur_px)
        case "learned":
            return Learned(load_block_noise(Path(section.learned.generator))[0])
        case "chain":
            return Chain(tuple(_build_link(link, section) for link in section.chain.kinds))
        case _:
            return _WITHOUT_SETTINGS[kind]


def _build_link(kind: SyntheticKind, section: NoiseSection) -> Link:
    """Build a link of a chain, over the range that the kind trains on by itself."""
    weakest, strongest = section.settings(kind).train_range
    return Link(_build_kind(kind, section), weakest, strongest)


def level_key(model: NoiseModel, level: float) -> str:
    """Name a level in paths and reports: sigma_25, peak_30, gain_0.005."""
    return f"{model.level_name}_{level:g}"


def draw_levels(settings: Noise, count: int, *, generator: torch.Generator) -> Tensor:
    """Draw (count,) levels, uniform over the range to train on, on the generator's device."""
    weakest, strongest = settings.train_range
    share = torch.rand(count, generator=generator, device=generator.device)
    return weakest + share * (strongest - weakest)

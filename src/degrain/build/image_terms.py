"""Terms of the generator's loss that compare images beyond their pixels, by their names in the params."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

from degrain.losses.frequency import focal_frequency
from degrain.losses.structure import ms_ssim
from degrain.params import Train

ImageLoss = Callable[[Tensor, Tensor], Tensor]

IMAGE_TERMS: Mapping[str, ImageLoss] = MappingProxyType(
    {"ms_ssim": ms_ssim, "focal_frequency": focal_frequency}
)


def image_terms(section: Train) -> dict[str, tuple[ImageLoss, float]]:
    """Loss and weight of the terms that are switched on."""
    weights = {name: getattr(section, name).weight for name in IMAGE_TERMS}
    return {name: (loss, weights[name]) for name, loss in IMAGE_TERMS.items() if weights[name]}

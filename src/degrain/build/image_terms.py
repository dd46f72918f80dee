"""Terms of the generator's loss that compare images beyond their pixels, by their names in the params."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

from degrain.losses.frequency import focal_frequency
from degrain.losses.structure import ms_ssim
from degrain.training_params import Train

ImageLoss = Callable[[Tensor, Tensor], Tensor]


def _perceptual() -> ImageLoss:
    # Imported here: whoever does without it need not have the extra, nor wait for it.
    from degrain.features import load_backbone
    from degrain.losses.perceptual import Perceptual

    return Perceptual(load_backbone("loss"))


IMAGE_TERMS: Mapping[str, Callable[[], ImageLoss]] = MappingProxyType(
    {"ms_ssim": lambda: ms_ssim, "focal_frequency": lambda: focal_frequency, "perceptual": _perceptual}
)


def image_terms(section: Train) -> dict[str, tuple[ImageLoss, float]]:
    """Loss and weight of the terms that are switched on.

    Raises
    ------
    DegrainError : the packages that a term needs are missing.
    """
    weights = {name: getattr(section, name).weight for name in IMAGE_TERMS}
    return {name: (load(), weights[name]) for name, load in IMAGE_TERMS.items() if weights[name]}

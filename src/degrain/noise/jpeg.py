"""The artefacts of JPEG, by a real codec; and rounding to 8 bits."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from degrain.noise.model import per_image, root_mean_square


@dataclass(frozen=True)
class Jpeg:
    """Encode and decode as JPEG. Level: quality, 1-95, rounded to a whole number; lower is worse.

    Nothing is random. Each image is clipped and rounded to 8 bits first; colour is stored with
    half the resolution (4:2:0), as cameras and the web do.
    """

    level_name: ClassVar[str] = "quality"

    def __call__(self, clean: Tensor, level: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return the decoded images; see `NoiseModel`. The generator is not used."""
        return _recode(clean, level)

    def sigma(self, clean: Tensor, level: Tensor) -> Tensor:
        """(B,) root mean square of the artefacts, measured by encoding."""
        return root_mean_square(_recode(clean, level) - clean)


def quantize(noisy: Tensor) -> Tensor:
    """Clip to [0, 1] and round to multiples of 1 / 255, as a camera that stores 8 bits does."""
    return (noisy.clamp(0, 1) * 255).round() / 255


def _recode(images: Tensor, quality: Tensor) -> Tensor:
    """(B, C, H, W) through the codec, one by one; C is 1 or 3.

    Raises
    ------
    ValueError : for another number of channels, or a quality outside 1-95.
    """
    qualities = per_image(quality, images).round().flatten().tolist()
    if images.shape[1] not in (1, 3):
        msg = f"{images.shape[1]} channels; JPEG takes 1 or 3"
        raise ValueError(msg)
    if not all(1 <= value <= 95 for value in qualities):
        msg = f"quality = {qualities}; expected 1 to 95"
        raise ValueError(msg)
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    decoded = [_through_codec(image, int(value)) for image, value in zip(pixels, qualities, strict=True)]
    return torch.from_numpy(np.stack(decoded)).to(images).permute(0, 3, 1, 2).contiguous() / 255


def _through_codec(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """(H, W, C) uint8 -> (H, W, C) uint8."""
    plane = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    file = io.BytesIO()
    Image.fromarray(plane).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return np.asarray(image).reshape(pixels.shape)

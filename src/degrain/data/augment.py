"""What makes few training images stand for many: other orientations, other colours."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def turn(image: NDArray[np.uint8], symmetry: int) -> NDArray[np.uint8]:
    """One of the 8 symmetries of the square, 0 the identity: (H, H, ...) to the same shape."""
    turned = np.rot90(image, symmetry % 4)
    return turned[:, ::-1] if symmetry >= 4 else turned


def jitter_colours(images: Tensor, strength: float, *, generator: torch.Generator) -> Tensor:
    """Give each image another contrast, and each of its channels another brightness.

    One contrast for all channels: how they go together is what a photograph is told from noise by.

    Parameters
    ----------
    images : (B, C, H, W) in [0, 1].
    strength : in [0, 1]; contrast changes by a factor of up to 1 +- strength, brightness by up to
        half of it. 0 changes nothing.

    Returns
    -------
    (B, C, H, W), clipped to [0, 1] as an overexposed photograph is.
    """
    if strength == 0:
        return images
    batch, channels = images.shape[:2]
    contrast, brightness = (
        torch.rand((batch, count, 1, 1), generator=generator, device=images.device) * 2 - 1
        for count in (1, channels)
    )
    changed: Tensor = (images - 0.5) * (1 + strength * contrast) + 0.5 + strength / 2 * brightness
    return changed.clamp_(0, 1)

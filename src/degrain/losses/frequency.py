"""Distances between spectra."""

from __future__ import annotations

import torch
from torch import Tensor


def focal_frequency(restored: Tensor, clean: Tensor) -> Tensor:
    """Squared difference of the spectra, each frequency weighted by how far it is off: images to (B,).

    The weight is the difference's absolute value over the largest of its image and channel, and counts as
    a constant. Spectra are scaled to keep the images' energy. (B, C, H, W) twice.

    Source: Jiang et al., "Focal Frequency Loss for Image Reconstruction and Synthesis", 2021, alpha = 1.
    """
    spectrum = torch.fft.fft2(restored - clean, norm="ortho")
    squared = spectrum.real.square() + spectrum.imag.square()
    size = squared.detach().sqrt()
    weight = size / size.amax(dim=(2, 3), keepdim=True).clamp(min=torch.finfo(size.dtype).tiny)
    focused: Tensor = weight * squared
    return focused.flatten(1).mean(1)

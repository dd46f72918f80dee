"""Distances in structure."""

from __future__ import annotations

from torch import Tensor

from degrain import structure


def ms_ssim(restored: Tensor, clean: Tensor) -> Tensor:
    """1 - MS-SSIM, in [0, 1]; see `degrain.structure.ms_ssim`."""
    return 1 - structure.ms_ssim(restored, clean)

"""Metrics: (restored, clean, *, data_range) -> number."""

from degrain.metrics.fidelity import psnr, ssim, to_8_bit
from degrain.metrics.spectrum import spectrum_distance

__all__ = ["psnr", "spectrum_distance", "ssim", "to_8_bit"]

"""Metrics: (restored, clean, *, data_range) -> number."""

from degrain.metrics.fidelity import psnr, ssim, to_8_bit

__all__ = ["psnr", "ssim", "to_8_bit"]

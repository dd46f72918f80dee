"""Pixel losses by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

from degrain.losses import pixel

PIXEL: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"l1": pixel.l1, "charbonnier": pixel.charbonnier, "mse": pixel.mse, "log-mse": pixel.log_mse}
)

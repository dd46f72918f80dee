"""LPIPS through its authors' package, where that and its downloads are at hand."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from degrain.errors import DegrainError
from degrain.metrics.fidelity import check_shapes

ADVICE = "pip install lpips torchvision; its first use downloads AlexNet's weights, 233 MB"


class Lpips:
    """Learned perceptual distance of (restored, clean), on AlexNet.

    Raises
    ------
    DegrainError : the package, or torchvision, is missing, or the weights cannot be downloaded.

    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018.
    """

    def __init__(self) -> None:
        try:
            package: Any = importlib.import_module("lpips")
            self._network = package.LPIPS(net="alex", verbose=False).eval()
        # No package; no network; a torchvision that misfits torch.
        except (ImportError, OSError, RuntimeError) as error:
            msg = f"LPIPS: {error}; {ADVICE}"
            raise DegrainError(msg) from error

    def __call__(
        self, restored: NDArray[np.floating], clean: NDArray[np.floating], *, data_range: float
    ) -> float:
        """Distance of two images (H, W, C), black at 0 and white at `data_range`; 0 for identical ones."""
        check_shapes(restored, clean)
        one, other = (
            torch.from_numpy((image * (2 / data_range) - 1).astype(np.float32).transpose(2, 0, 1)[None])
            for image in (restored, clean)
        )
        with torch.inference_mode():
            return float(self._network(one.expand(-1, 3, -1, -1), other.expand(-1, 3, -1, -1)))

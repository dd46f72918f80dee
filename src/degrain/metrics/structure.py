"""How alike the structure of two images is at several scales: MS-SSIM."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from degrain import structure
from degrain.metrics.fidelity import check_shapes


def ms_ssim(restored: NDArray[np.floating], clean: NDArray[np.floating], *, data_range: float) -> float:
    """Multi-scale structural similarity, the mean of the channels.

    Parameters
    ----------
    restored, clean : (H, W, C) on the same scale, at least 11 pixels high and wide; with fewer than 176,
        the scales at which the window fits.
    data_range : white minus black on that scale.

    Returns
    -------
    0 to 1; 1 for identical images.

    Source: Wang et al., "Multi-scale structural similarity for image quality assessment", 2003.
    """
    check_shapes(restored, clean)
    one, other = (
        torch.from_numpy(image.astype(np.float64).transpose(2, 0, 1)[None] / data_range)
        for image in (restored, clean)
    )
    return float(structure.ms_ssim(one, other))

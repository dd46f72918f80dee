"""How noisy a real image is, for the generator to be told."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from degrain.build.learned_noise import load_block_noise
from degrain.noise.blocks import smooth_level
from degrain.noise_level import noise_level
from degrain.noise_params import NoiseSection

Estimate = Callable[[NDArray[np.float32]], float]


def level_estimate(section: NoiseSection) -> Estimate:
    """What tells a generator the level of a real noisy image (H, W, C), on its scale.

    With learned noise it is measured as in its training, and so noise which is not white is found, too.
    """
    if section.kind != "learned":
        return noise_level
    _, rule = load_block_noise(Path(section.learned.generator))
    return partial(smooth_level, rule=rule)

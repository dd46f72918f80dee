"""PSNR and SSIM of the averaged weights on the fixed validation set, while training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from degrain.data.noisy import Image, NoisySet, Pair
from degrain.files import to_array, to_tensor
from degrain.metrics import psnr, ssim, to_8_bit
from degrain.training.descend import Stats
from degrain.training.state import TrainState
from degrain.training_params import Validation

# What is shown of a pair, 8 bits, and its figures.
Measure = Callable[[TrainState, Pair], tuple[Image, Stats]]


def measure_once(state: TrainState, pair: Pair) -> tuple[Image, Stats]:
    """The restoration of a pair, and its figures."""
    restored = to_8_bit(restore(state, pair))
    return restored, quality(restored, pair)


def quality(restored: Image, pair: Pair) -> Stats:
    """How near a restored image of 8 bits is to the clean one."""
    psnr_db, similarity = (measure(restored, pair.clean, data_range=1.0) for measure in (psnr, ssim))
    return {"val_psnr": psnr_db, "val_ssim": similarity}


@torch.inference_mode()
def restore(state: TrainState, pair: Pair, *z: Tensor) -> Image:
    """A pair's noisy image through the averaged weights; z (1, C, H, W) where they are stochastic."""
    noisy, sigma = to_tensor(pair.noisy), torch.tensor([pair.sigma])
    with state.engine.autocast():
        return to_array(state.ema.network(*map(state.engine.send, (noisy, sigma, *z))))


class Validator:
    """Restores the centres of the first validation images at every level.

    Parameters
    ----------
    show : called with (name, step, restored (H, W, C)) for each of the first `pictures` pairs.
    measure : restores and measures one pair.
    """

    def __init__(
        self,
        pairs: NoisySet,
        settings: Validation,
        *,
        stride: int,
        pictures: int,
        show: Callable[[str, int, Image], None],
        measure: Measure = measure_once,
    ) -> None:
        names = list(pairs.rows["name"].unique())[: settings.images]
        self.pairs = [_centre(pair, settings.crop_px, stride) for pair in pairs if pair.name in names]
        self.pictures, self.show, self.measure = pictures, show, measure

    def __call__(self, state: TrainState) -> Stats:
        """Mean over all pairs of what is measured; usually val_psnr in dB, val_ssim."""
        figures = []
        for number, pair in enumerate(self.pairs):
            restored, measured = self.measure(state, pair)
            if number < self.pictures:
                self.show(f"{pair.name} {pair.level}", state.done, restored)
            figures.append(measured)
        return {name: float(np.mean([one[name] for one in figures])) for name in figures[0]}


def _centre(pair: Pair, crop: int, stride: int) -> Pair:
    """The middle of a pair, its sides multiples of the generator's stride."""
    sides = [min(length, crop) // stride * stride for length in pair.clean.shape[:2]]
    y, x = ((length - side) // 2 for length, side in zip(pair.clean.shape, sides, strict=False))
    window = slice(y, y + sides[0]), slice(x, x + sides[1])
    return Pair(pair.name, pair.level, pair.sigma, pair.clean[window], pair.noisy[window])

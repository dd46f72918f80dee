"""PSNR and SSIM of the averaged weights on the fixed validation set, while training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from degrain.data.noisy import Image, NoisySet, Pair
from degrain.files import to_array, to_tensor
from degrain.metrics import psnr, ssim, to_8_bit
from degrain.params import Validation
from degrain.training.descend import Stats
from degrain.training.state import TrainState


class Validator:
    """Restores the centres of the first validation images at every level.

    Parameters
    ----------
    show : called with (name, step, restored (H, W, C)) for each of the first `pictures` pairs.
    """

    def __init__(
        self,
        pairs: NoisySet,
        settings: Validation,
        *,
        stride: int,
        pictures: int,
        show: Callable[[str, int, Image], None],
    ) -> None:
        names = list(pairs.rows["name"].unique())[: settings.images]
        self.pairs = [_centre(pair, settings.crop_px, stride) for pair in pairs if pair.name in names]
        self.pictures, self.show = pictures, show

    def __call__(self, state: TrainState) -> Stats:
        """Mean over all pairs: val_psnr in dB, val_ssim."""
        figures = []
        for number, pair in enumerate(self.pairs):
            restored = to_8_bit(_restore(state, pair))
            if number < self.pictures:
                self.show(f"{pair.name} {pair.level}", state.done, restored)
            figures.append([measure(restored, pair.clean, data_range=1.0) for measure in (psnr, ssim)])
        means = np.mean(figures, axis=0)
        return {"val_psnr": float(means[0]), "val_ssim": float(means[1])}


@torch.inference_mode()
def _restore(state: TrainState, pair: Pair) -> Image:
    noisy, sigma = to_tensor(pair.noisy), torch.tensor([pair.sigma])
    with state.engine.autocast():
        return to_array(state.ema.network(state.engine.send(noisy), state.engine.send(sigma)))


def _centre(pair: Pair, crop: int, stride: int) -> Pair:
    """The middle of a pair, its sides multiples of the generator's stride."""
    sides = [min(length, crop) // stride * stride for length in pair.clean.shape[:2]]
    y, x = ((length - side) // 2 for length, side in zip(pair.clean.shape, sides, strict=False))
    window = slice(y, y + sides[0]), slice(x, x + sides[1])
    return Pair(pair.name, pair.level, pair.sigma, pair.clean[window], pair.noisy[window])

"""Whole-image inference: padding, tiles, precision, noise level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from degrain.build.generator import load_generator
from degrain.compute import Engine
from degrain.files import to_array, to_channels, to_tensor
from degrain.noise_level import noise_level

Image = NDArray[np.float32]

TILE_PX = 512


class Restorer:
    """A generator as a function on images of any size.

    Parameters
    ----------
    network : takes (noisy (B, C, H, W), sigma (B,)).
    channels : of the images it was trained on. Grey images go through a colour network as three
        equal channels; colour images go through a grey one channel by channel.
    """

    def __init__(self, network: nn.Module, channels: int, engine: Engine) -> None:
        self.network = engine.place(network).eval()
        self.channels, self.engine = channels, engine
        self.stride = int(network.stride)  # type: ignore[arg-type]
        # Rounded up, so that every tile begins where the strides of the whole image fall.
        self.overlap_px = -(-int(network.reach_px) // self.stride) * self.stride  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path, engine: Engine) -> Restorer:
        """From a file; see `load_generator`."""
        return cls(*load_generator(path), engine)

    def __call__(self, noisy: Image, sigma: float | None = None) -> Image:
        """Restore an image.

        Parameters
        ----------
        noisy : (H, W, C) of any size, C 1 or 3.
        sigma : root mean square of the noise, on the image's scale; None estimates it.

        Returns
        -------
        (H, W, C) float32, not clipped but where a grey image went through a colour network.
        """
        if sigma is None:
            sigma = noise_level(noisy)
        given = noisy.shape[2]
        if given == self.channels:
            return self._restore(noisy, sigma)
        if given == 1:
            # Noise that is equal in three channels has sqrt(3) times the luminance noise of
            # independent channels at the same level.
            tripled = self._restore(np.repeat(noisy, 3, axis=2), sigma * 3**0.5)
            return to_channels(tripled, 1)
        return np.concatenate([self._restore(noisy[:, :, c : c + 1], sigma) for c in range(given)], axis=2)

    def _restore(self, noisy: Image, sigma: float) -> Image:
        height, width = noisy.shape[:2]
        padded = pad_to_multiple(to_tensor(noisy), self.stride)
        level = torch.tensor([sigma], dtype=torch.float32)
        restored = torch.empty_like(padded)
        for tile, inner, target in tiles(*padded.shape[2:], overlap_px=self.overlap_px):
            with torch.inference_mode(), self.engine.autocast():
                part = self.network(self.engine.send(padded[:, :, *tile]), self.engine.send(level))
            restored[:, :, *target] = part[:, :, *inner].float().cpu()
        return to_array(restored[:, :, :height, :width])


Window = tuple[slice, slice]


def tiles(height: int, width: int, *, overlap_px: int) -> list[tuple[Window, Window, Window]]:
    """Cut an image into tiles that overlap, so that what is kept of each sees its surroundings.

    Returns
    -------
    For each tile: the window to restore, the part of the result to keep, and where it belongs.
    """
    return [
        ((rows[0], columns[0]), (rows[1], columns[1]), (rows[2], columns[2]))
        for rows in _spans(height, overlap_px)
        for columns in _spans(width, overlap_px)
    ]


def _spans(length: int, overlap_px: int) -> list[tuple[slice, slice, slice]]:
    """Along one axis: what to restore, what to keep of it, where that belongs."""
    spans = []
    for start in range(0, length, TILE_PX):
        stop = min(start + TILE_PX, length)
        first, last = max(0, start - overlap_px), min(length, stop + overlap_px)
        spans.append((slice(first, last), slice(start - first, stop - first), slice(start, stop)))
    return spans


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides (..., H, W) are multiples."""
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % multiple, 0, -height % multiple), mode="replicate")

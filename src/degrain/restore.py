"""Whole-image inference: padding, tiles, batches, precision, noise level, self-ensemble."""

from __future__ import annotations

import ctypes
import math
import sys
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from degrain.build.generator import load_generator
from degrain.compute import Engine
from degrain.errors import DegrainError
from degrain.files import from_float, to_array, to_channels, to_float, to_tensor
from degrain.noise_level import noise_level
from degrain.seeding import noise_window
from degrain.tiles import Tile, Window, seen_later, tiles
from degrain.turns import TURNS, UPRIGHT, Turn

Image = NDArray[np.float32]

# Of a network's reach, what is felt in the result: beyond it a trained one's changes by less than 5e-5
# (docs/decisions/0011). Networks that reach no further than that many pixels see all of it.
FELT, NEAR_PX = 0.75, 32
# So many tiles leave holes between what is kept that add up to as much as a tile takes.
TRIM_TILES = 16
# Pixels that go through the network at once: more gain nothing.
BATCH_PX = 2**18
# Less noise than that, which is about what rounding to 16 bits makes, is none.
NOISELESS = 1e-5
# What floats may be, beyond black and white: five times the strongest noise, which nothing has clipped.
LEAST, MOST = -5.0, 6.0
# Of an image, looked at together: what is compared takes little memory, and a difference is soon found.
ROWS = 256


class Restorer:
    """A generator as a function on images of any size.

    Parameters
    ----------
    network : takes (noisy (B, C, H, W), sigma (B,)), and noise z (B, C, H, W) if it is stochastic.
    channels : of the images it was trained on. Grey images go through a colour network as three
        equal channels; colour images go through a grey one channel by channel. An image is grey, too, if
        its channels are equal; see `without_copies`.
    ensemble : restore each image in its eight symmetries and take the mean, in eight times the time. An
        equivariant network restores all eight alike (but for a border, if the sides are no multiples of its
        stride), so it does so once.
    seed : of z; another gives other samples.
    """

    def __init__(
        self, network: nn.Module, channels: int, engine: Engine, *, ensemble: bool = False, seed: int = 0
    ) -> None:
        self.network = engine.place(network).eval()
        self.channels, self.engine, self.seed = channels, engine, seed
        self.stride, reach_px = int(network.stride), int(network.reach_px)  # type: ignore[arg-type]
        self.overlap_px = max(min(reach_px, NEAR_PX), math.ceil(FELT * reach_px))
        self.ensemble = ensemble
        self.stochastic = bool(getattr(network, "stochastic", False))
        alike = bool(getattr(network, "equivariant", False)) and not self.stochastic
        self.turns = TURNS if ensemble and not alike else (UPRIGHT,)

    @classmethod
    def load(cls, path: Path, engine: Engine, *, ensemble: bool = False, seed: int = 0) -> Restorer:
        """From a file; see `load_generator`."""
        return cls(*load_generator(path), engine, ensemble=ensemble, seed=seed)

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
        sample: Image = self.samples(noisy, sigma, count=1)[0]
        return sample

    def samples(self, noisy: Image, sigma: float | None = None, *, count: int) -> Image:
        """Restore an image several times, each time with a z of its own: (count, H, W, C); see `__call__`.

        The first is what `__call__` returns.
        """
        restored = np.empty((count, *noisy.shape), np.float32)
        for place, parts in self.parts(noisy, sigma, count=count):
            for sample, part in zip(restored, parts, strict=True):
                sample[place] = part
        return restored

    def restore_stored(
        self,
        pixels: NDArray[Any],
        sigma: float | None = None,
        strength: float = 1.0,
        *,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Restore the pixels of a file, tile by tile, so that the image never exists in float32.

        Parameters
        ----------
        pixels : (H, W, C), C 1 or 3, or (H, W), of any size; integers of 8 or 16 bits, or floats in [0, 1].
        sigma : root mean square of the noise, with white at 1; None estimates it.
        strength : in [0, 1], from the noisy image to the restored one.
        out : where to, of the same shape and type; may be `pixels`, which are then overwritten.

        Returns
        -------
        Pixels of the same shape and type; clamped and, for integers, rounded. Where there is no noise, those
        given, clamped.

        Raises
        ------
        DegrainError : pixels or sigma are none that can be restored, or `out` does not fit.
        ValueError : the network returned not-a-number.
        """
        image = as_image(pixels, sigma)
        restored = np.empty(pixels.shape, pixels.dtype) if out is None else out
        if (restored.shape, restored.dtype) != (pixels.shape, pixels.dtype):
            msg = f"out of shape {restored.shape}, {restored.dtype}; expected {pixels.shape}, {pixels.dtype}"
            raise DegrainError(msg)
        target = restored[:, :, None] if restored.ndim == 2 else restored
        waiting: deque[tuple[Window, NDArray[Any]]] = deque()
        later = seen_later(image.shape[1], self.overlap_px, self.stride)
        for place, (part,) in self.parts(image, sigma):
            noisy = to_float(image[place])
            blend = part if strength == 1 else noisy + strength * (part - noisy)
            waiting.append((place, from_float(blend, image.dtype)))
            if len(waiting) > later:
                done, finished = waiting.popleft()
                target[done] = finished
        for done, finished in waiting:
            target[done] = finished
        return restored

    def restore_all(self, images: Sequence[Image], sigma: float | None = None) -> list[Image]:
        """Restore several images, the small ones of like size together, which is faster.

        Parameters
        ----------
        images : each (H, W, C), C 1 or 3, as `__call__` takes it. Those without noise stay as they are.
        sigma : of all of them; None estimates it for each.

        Raises
        ------
        DegrainError : an image or sigma is none that can be restored.
        """
        seen = [without_copies(as_image(image, sigma)) for image in images]
        levels = [noise_level(image) if sigma is None else sigma for image in seen]
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for number, (height, width, channels) in enumerate(image.shape for image in seen):
            if levels[number] >= NOISELESS:
                alike[height + -height % self.stride, width + -width % self.stride, channels].append(number)
        restored: dict[int, Image] = dict(enumerate(map(to_float, seen)))
        for (height, width, _), numbers in alike.items():
            size = max(1, BATCH_PX // (height * width))
            for start in range(0, len(numbers), size):
                batch = numbers[start : start + size]
                given = [seen[number] for number in batch], [levels[number] for number in batch]
                restored |= zip(batch, self._batch(*given), strict=True)
        return [to_channels(restored[number], image.shape[2]) for number, image in enumerate(images)]

    def _batch(self, images: Sequence[Image], sigmas: Sequence[float]) -> list[Image]:
        """Restore images of the same padded size together; a single one may be large."""
        if len(images) == 1:
            return [self(images[0], sigmas[0])]
        turned = [
            self._adapt([to_float(turn.apply(image)) for image in images], sigmas) for turn in self.turns
        ]
        return [_mean(self.turns, versions) for versions in zip(*turned, strict=True)]

    def parts(
        self, noisy: NDArray[Any], sigma: float | None, *, count: int = 1
    ) -> Iterator[tuple[Window, list[Image]]]:
        """Restore tile after tile, each `count` times; gives where each belongs.

        Of an image with equal channels they have one channel, (h, w, 1), which stands for all.
        """
        noisy = without_copies(noisy)
        level = noise_level(noisy) if sigma is None else sigma
        height, width = noisy.shape[:2]
        plans = [
            tiles(height, width, overlap_px=self.overlap_px, multiple=self.stride, turn=turn)
            for turn in self.turns
        ]
        cut = list(zip(*plans, strict=True))
        for number, turned in enumerate(tqdm(cut, "tiles", delay=3, leave=False, disable=None), start=1):
            yield turned[0][2], [self._restore_tile(noisy, level, turned, sample) for sample in range(count)]
            if number % TRIM_TILES == 0 or number == len(cut) > TRIM_TILES:
                _give_memory_back()

    def _restore_tile(self, noisy: NDArray[Any], level: float, turned: Sequence[Tile], sample: int) -> Image:
        """Restore one tile in every turn."""
        if level < NOISELESS:
            return to_float(noisy[turned[0][2]])
        versions = []
        for turn, (seen, kept, _) in zip(self.turns, turned, strict=True):
            start = seen[0].start, seen[1].start
            image = to_float(turn.apply(noisy)[seen])
            versions.append(self._adapt([image], [level], start=start, sample=sample)[0][kept])
        return _mean(self.turns, versions)

    def _adapt(
        self,
        images: Sequence[Image],
        sigmas: Sequence[float],
        *,
        start: tuple[int, int] = (0, 0),
        sample: int = 0,
    ) -> list[Image]:
        """Restore images of the same padded size, of any number of channels.

        Parameters
        ----------
        start : row and column in the whole image; sample : the number of z.
        """
        given = images[0].shape[2]
        if given == self.channels:
            return self._forward(images, sigmas, (*start, sample))
        if given == 1:
            # Noise that is equal in three channels has sqrt(3) times the luminance noise of
            # independent channels at the same level.
            tripled = [np.repeat(image, 3, axis=2) for image in images]
            restored = self._forward(tripled, [sigma * 3**0.5 for sigma in sigmas], (*start, sample))
            return [to_channels(image, 1) for image in restored]
        planes = [
            self._forward([image[:, :, c : c + 1] for image in images], sigmas, (*start, sample, c))
            for c in range(given)
        ]
        return [np.concatenate(channels, axis=2) for channels in zip(*planes, strict=True)]

    def _forward(
        self, images: Sequence[Image], sigmas: Sequence[float], which: tuple[int, ...]
    ) -> list[Image]:
        """Images of the same padded size, in the network's channels, through the network."""
        noisy = torch.cat([pad_to_multiple(to_tensor(image), self.stride) for image in images])
        level = torch.tensor(sigmas, dtype=torch.float32)
        given = (noisy, level, self._z(noisy, *which)) if self.stochastic else (noisy, level)
        with torch.inference_mode(), self.engine.autocast():
            restored = self.network(*map(self.engine.send, given)).float().cpu()
        return [
            to_array(part[None, :, : image.shape[0], : image.shape[1]])
            for image, part in zip(images, restored, strict=True)
        ]

    def _z(self, noisy: Tensor, row: int, column: int, *parts: int) -> Tensor:
        """The same noise for the same pixel in whatever tile, and for every image of a batch."""
        batch, channels, height, width = noisy.shape
        rows, columns = slice(row, row + height), slice(column, column + width)
        return noise_window(channels, rows, columns, self.seed, "z", *parts).expand(batch, -1, -1, -1)


def as_image(pixels: NDArray[Any], sigma: float | None) -> NDArray[Any]:
    """Pixels (H, W) or (H, W, C) as (H, W, C), a view.

    Raises
    ------
    DegrainError : what they are, or sigma, is nothing that can be restored.
    """
    image = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        msg = f"pixels of shape {pixels.shape}; expected (H, W), (H, W, 1) or (H, W, 3), no transparency"
        raise DegrainError(msg)
    if pixels.dtype.newbyteorder("=") not in (np.uint8, np.uint16) and pixels.dtype.kind != "f":
        msg = f"pixels of type {pixels.dtype}; expected uint8, uint16 or floats in [0, 1]"
        raise DegrainError(msg)
    if pixels.dtype.kind == "f" and not (pixels.min() >= LEAST and pixels.max() <= MOST):
        msg = f"floats from {pixels.min():g} to {pixels.max():g}; expected black at 0 and white at 1"
        raise DegrainError(msg)
    if sigma is not None and not 0 <= sigma <= 1:
        msg = f"sigma = {sigma}; expected a number from 0 to 1, with white at 1, not at 255"
        raise DegrainError(msg)
    return image


def without_copies(pixels: NDArray[Any]) -> NDArray[Any]:
    """The image (H, W, C); of a grey one that is stored in colour, the first channel: a view (H, W, 1).

    Its noise is the same in all channels, where a generator of colour images expects that of each to be its
    own, and so would hardly touch it.
    """
    blocks = (pixels[start : start + ROWS] for start in range(0, len(pixels), ROWS))
    grey = all((block[:, :, 1:] == block[:, :, :1]).all() for block in blocks)
    return pixels[:, :, :1] if grey else pixels


def _give_memory_back() -> None:
    """Undo what `start_engine` asks of glibc, to keep all that is freed: large images need the memory."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


def _mean(turns: Sequence[Turn], versions: Sequence[Image]) -> Image:
    """Turn versions of an image back and average them."""
    upright = [turn.undo(version) for turn, version in zip(turns, versions, strict=True)]
    return upright[0] if len(upright) == 1 else np.mean(upright, axis=0)


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Mirror (B, C, H, W) in its last row and column until both sides are multiples."""
    rows, columns = (mirrored(side, multiple).to(image.device) for side in image.shape[2:])
    return image if image.shape[2:] == (len(rows), len(columns)) else image[:, :, rows][..., columns]


def mirrored(side: int, multiple: int) -> Tensor:
    """Indices 0, 1, ..., side - 1, and back from there until there are a multiple of `multiple`.

    Not the last again and again: a noisy pixel repeated is a streak, which a network takes for part of the
    image, and restores what is near it by half a decibel and more less well. Index 0 is repeated where the
    side is too short.
    """
    last = side - 1
    padded = (last + multiple) // multiple * multiple
    return (last - (last - torch.arange(padded)).abs()).clamp(min=0)

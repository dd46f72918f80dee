"""Pictures of the results: whole images above, magnified crops below."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_laplace, uniform_filter

from degrain.files import read_image
from degrain.sheet import Box, draw, save_sheet, sheet

Image = NDArray[np.float32]


def draw_comparison(images: Mapping[str, Image], path: Path, *, zoom_px: int) -> None:
    """One column an image, titled by its key; the last image's liveliest part is magnified in all.

    Parameters
    ----------
    images : title to (H, W, C), the clean image last.
    zoom_px : side of the part that is magnified.
    """
    clean = list(images.values())[-1]
    x, y, side = box = liveliest(clean, zoom_px)
    figure, axes = sheet(len(images), [clean.shape[0] / clean.shape[1], 1.0], width_in=2.6 * len(images))
    for (above, below), (title, image) in zip(axes.T, images.items(), strict=True):
        draw(above, image, title, box=box)
        draw(below, image[y : y + side, x : x + side])
    save_sheet(figure, path)


def liveliest(image: Image, side: int) -> Box:
    """The square with the most fine detail: (x, y, side), no larger than the image (H, W, C)."""
    side = min(side, *image.shape[:2])
    detail = np.abs(gaussian_laplace(image.mean(2), sigma=1.0))
    height, width = detail.shape
    # The filter's value at a pixel is the mean of the square whose upper left corner is side // 2 before it.
    means = uniform_filter(detail, side, mode="constant")
    half = side // 2
    inside = means[half : half + height - side + 1, half : half + width - side + 1]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(x), int(y), side


def restored_image(folder: Path, level: str, method: str, name: str) -> Image:
    """What `measure` kept of one method on one image."""
    return read_image(folder / level / method / f"{name}.png")

"""What some arms make of photographs that come inside the installed packages, magnified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
import torch
from numpy.typing import NDArray

from degrain.compute import Engine
from degrain.data.embedded import locate, photographs
from degrain.evaluation.pictures import liveliest
from degrain.files import read_image, to_array, to_channels, to_tensor
from degrain.metrics import psnr, to_8_bit
from degrain.noise import Gaussian
from degrain.restore import Restorer
from degrain.seeding import seeded_generator
from degrain.sheet import draw, save_sheet, sheet
from experiments.adversarial.trainings import load

Image = NDArray[np.float32]
SIGMA_255 = 25.0
CROP_PX = 96
TITLE_LETTERS = 24  # a line, above a square
SHOWN = ("camera", "astronaut", "chelsea")


def draw_strip(arms: Sequence[tuple[str, Path]], channels: int, engine: Engine, path: Path) -> None:
    """A row for each photograph; the liveliest square of it noisy, by every arm, and clean.

    Parameters
    ----------
    arms : (title, file of the generator). channels : of its images.
    """
    restorers = [(title, Restorer(*load(weights), engine)) for title, weights in arms]
    rows = [_row(name, restorers, channels) for name in SHOWN]
    figure, axes = sheet(len(rows[0]), [1.0] * len(rows), width_in=1.9 * len(rows[0]))
    for axes_row, row in zip(axes, rows, strict=True):
        for axis, (title, image) in zip(axes_row, row, strict=True):
            draw(axis, image, title)
    save_sheet(figure, path)


def _row(name: str, restorers: Sequence[tuple[str, Restorer]], channels: int) -> list[tuple[str, Image]]:
    """Title, with PSNR of the whole photograph, and magnified square."""
    clean = _photograph(name, channels)
    generator = seeded_generator(0, "strip", name)
    noisy = to_array(Gaussian()(to_tensor(clean), torch.tensor([SIGMA_255]), generator=generator))
    seen = [("noisy", noisy)]
    seen += [(title, to_8_bit(restore(noisy, SIGMA_255 / 255))) for title, restore in restorers]
    x, y, side = liveliest(clean, CROP_PX)
    window = slice(y, y + side), slice(x, x + side)
    shown = [
        (
            f"{fill(title, TITLE_LETTERS)}\n{psnr(to_8_bit(image), clean, data_range=1.0):.2f} dB",
            image[window],
        )
        for title, image in seen
    ]
    return [*shown, ("clean\n", clean[window])]


def _photograph(name: str, channels: int) -> Image:
    found = next(one for one in photographs("test", 1) if one.name == name)
    return to_channels(read_image(locate(found.package, found.path)), channels)

"""Generated images as pictures, and those of a training's course."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from degrain.files import write_image
from degrain.generation.making import calibrated, make_images, noise_vectors
from degrain.sheet import draw, save_sheet, sheet
from degrain.training.checkpoint import Checkpoint
from degrain.training.descend import Stats
from degrain.training.state import TrainState

Image = NDArray[np.float32]

COLUMNS, ENLARGED, MARGIN_PX = 10, 3, 2
MOST_ROWS = 6


class Watch:
    """Makes images of the same noise vectors now and then, and keeps them beside the checkpoint.

    Parameters
    ----------
    count : how many.
    seed : of the noise vectors.
    show : called with a name, the step and the images as one, (H, W, C).
    """

    def __init__(
        self, checkpoint: Checkpoint, count: int, *, seed: int, show: Callable[[str, int, Image], None]
    ) -> None:
        self.checkpoint, self.count, self.seed, self.show = checkpoint, count, seed, show

    def __call__(self, state: TrainState) -> Stats:
        """Images of the averaged generator as it is now are made, kept and shown; there are no figures."""
        network = calibrated(state.ema.network, state.engine, seed=self.seed)
        z = noise_vectors(self.count, network, self.seed, "shown")
        images = make_images(network, z, state.engine)
        self._file(state.step).save({"images": images})
        self.show("samples", state.step, grid(images))
        return {}

    def made(self, state: TrainState) -> dict[int, Tensor]:
        """All images that a finished training has made, by step."""
        found = {}
        for row in state.curve:
            kept = self._file(int(row["step"])).load()
            if kept is not None:
                found[int(row["step"])] = torch.as_tensor(kept["images"])
        return found

    def _file(self, step: int) -> Checkpoint:
        return self.checkpoint.beside(f"samples-{step}.pt")


def grid(images: Tensor, columns: int = COLUMNS) -> Image:
    """Bytes (N, C, S, S) side by side, in whole rows, as one image (H, W, C) in [0, 1]."""
    rows = max(1, len(images) // columns)
    shown = images[: rows * columns].numpy().astype(np.float32) / 255
    cells = np.pad(shown, ((0, 0), (0, 0), *[(0, MARGIN_PX)] * 2))
    cells = cells.reshape(rows, -1, *cells.shape[1:]).transpose(0, 3, 1, 4, 2)
    height, width = rows * cells.shape[1], cells.shape[2] * cells.shape[3]
    return np.ascontiguousarray(cells.reshape(height, width, cells.shape[4]), np.float32)


def draw_samples(path: Path, images: Tensor) -> None:
    """Draw images, bytes (N, C, S, S), as one PNG, each pixel enlarged."""
    enlarged = grid(images).repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
    write_image(path, enlarged)


def draw_course(path: Path, by_step: Mapping[int, Tensor]) -> None:
    """Draw the first images of several steps, a row a step: the same noise vectors in each column."""
    steps = doubling(list(by_step))
    strips = [grid(by_step[step][:COLUMNS]) for step in steps]
    figure, axes = sheet(1, [strip.shape[0] / strip.shape[1] for strip in strips], width_in=8)
    for axis, step, strip in zip(axes[:, 0], steps, strips, strict=True):
        draw(axis, strip, f"step {step}")
    save_sheet(figure, path)


def doubling(steps: list[int]) -> list[int]:
    """At most six of the steps, the last one and those at about half, a quarter and so on of it."""
    found: list[int] = []
    place = len(steps)
    while place and len(found) < MOST_ROWS:
        found.append(steps[place - 1])
        place //= 2
    return found[::-1]

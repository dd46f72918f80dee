"""Random generators whose seed follows from what they are for."""

from __future__ import annotations

import hashlib
import json

import torch
from torch import Tensor

# Side of the squares that `noise_window` draws at a time.
BLOCK_PX = 256


def seeded_generator(*parts: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a generator seeded by `parts`, such as a seed, an image's name and a level.

    The same parts give the same generator in any process, on any day and in any order of work;
    parts that differ in value, type or place give another one.

    Parameters
    ----------
    parts : what the numbers are for; 1 and "1" differ.
    device : where the generator draws; other devices draw other numbers.
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "little"))


def noise_window(channels: int, rows: slice, columns: slice, *parts: str | int) -> Tensor:
    """A window of an endless plane of standard normal noise: a pixel is the same in every window.

    Parameters
    ----------
    rows, columns : from `start` to `stop`, which are not negative.
    parts : what the plane is for; see `seeded_generator`.

    Returns
    -------
    (1, channels, H, W).
    """
    bands = [
        torch.cat([_block(channels, row, column, *parts) for column in _blocks(columns)], dim=2)
        for row in _blocks(rows)
    ]
    top, left = (span.start // BLOCK_PX * BLOCK_PX for span in (rows, columns))
    plane = torch.cat(bands, dim=1)
    return plane[None, :, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def _blocks(span: slice) -> range:
    """The numbers of the blocks that a span touches."""
    return range(span.start // BLOCK_PX, -(-span.stop // BLOCK_PX))


def _block(channels: int, row: int, column: int, *parts: str | int) -> Tensor:
    generator = seeded_generator(*parts, row, column)
    return torch.randn((channels, BLOCK_PX, BLOCK_PX), generator=generator)

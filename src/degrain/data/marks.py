"""Striking points of images, by which a part is found in the whole.

A perceptual hash sees an image as a whole, and a crop is another whole. But a crop at the same scale has
the striking points of the original, each with the same surroundings, all moved by the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

MOST = 300  # of an image, the strongest

# A point's surroundings: 8 x 8 samples of the band-passed image, 4 pixels apart.
OFFSETS_PX = np.arange(-14, 15, 4)
MARGIN_PX = 16
BAND_PX = (2.0, 6.0)  # standard deviations of the two blurs, whose difference is the band
WEAKEST_255 = 2.0
APART_PX = 9

# Of the 64 bits of a point, as many as JPEG at quality 20 changes in most.
NEAR_BITS = 8

# So many points that moved alike make a part. Images of different scenes had 2 at most: BSD68 against
# BSDS500 (train and test) and PolyU, the scenes of PolyU against one another, Train400 against BSDS500.
FEWEST_ALIKE = 5
SAME_SHIFT_PX = 2
AT_ONCE = 16_384  # points that are compared in one go: 40 MB


@dataclass(frozen=True)
class Marks:
    """The striking points of an image.

    bits : (N,) uint64, what each is surrounded by; places : (N, 2) row and column in pixels.
    """

    bits: NDArray[np.uint64]
    places: NDArray[np.int32]


def find_marks(grey: NDArray[np.float32]) -> Marks:
    """The strongest local extrema of a band-passed image (H, W) on the scale of 0 to 255."""
    near, far = (gaussian_filter(grey, sigma) for sigma in BAND_PX)
    band = near - far
    strength = np.abs(band)
    peaks = (strength == maximum_filter(strength, APART_PX)) & (strength > WEAKEST_255)
    inner = np.zeros_like(peaks)
    inner[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX] = True
    rows, columns = np.nonzero(peaks & inner)
    strongest = np.argsort(-strength[rows, columns], kind="stable")[:MOST]
    rows, columns = rows[strongest], columns[strongest]
    around = band[rows[:, None, None] + OFFSETS_PX[:, None], columns[:, None, None] + OFFSETS_PX]
    around = around.reshape(len(rows), OFFSETS_PX.size**2)
    above = around > np.median(around, axis=1, keepdims=True)
    bits = np.packbits(above, axis=1).view(np.uint64).ravel()
    # Along an edge all points look alike, and another image's edge looks like this one.
    alone = np.count_nonzero(np.bitwise_count(bits[:, None] ^ bits) <= NEAR_BITS, axis=1) == 1
    return Marks(bits[alone], np.stack([rows, columns], axis=1)[alone].astype(np.int32))


class MarkIndex:
    """The marks of many images, to find which of them share a part with another."""

    def __init__(self, images: Sequence[Marks]) -> None:
        self.bits = np.concatenate([np.empty(0, np.uint64), *(marks.bits for marks in images)])
        self.places = np.concatenate([np.empty((0, 2), np.int32), *(marks.places for marks in images)])
        self.owners = np.repeat(np.arange(len(images)), [len(marks.bits) for marks in images])

    def sharing(self, marks: Marks) -> int | None:
        """Index of the image that shares most points with `marks`, all moved alike; None if too few."""
        found = [self._moves(marks, start) for start in range(0, len(self.bits), AT_ONCE)]
        moves = np.concatenate([np.empty((0, 3), np.int64), *found])
        if not len(moves):
            return None
        ways, counts = np.unique(moves, axis=0, return_counts=True)
        best = int(counts.argmax())
        return int(ways[best, 0]) if counts[best] >= FEWEST_ALIKE else None

    def _moves(self, marks: Marks, start: int) -> NDArray[np.int64]:
        """(owner, rows moved, columns moved) of every two points that are alike."""
        part = slice(start, start + AT_ONCE)
        unlike = np.bitwise_count(marks.bits[:, None] ^ self.bits[None, part])
        ours, theirs = np.nonzero(unlike <= NEAR_BITS)
        moved = (self.places[part][theirs] - marks.places[ours]) // SAME_SHIFT_PX
        return np.column_stack([self.owners[part][theirs], moved]).astype(np.int64)

"""Images that are the same, or nearly: by their pixels, by their looks, by what they are a part of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from degrain.data.augment import turn
from degrain.data.marks import MarkIndex, Marks, find_marks
from degrain.files import sha256_bytes

Look = NDArray[np.uint64]

HASH_SIDE = 16

# Of 256 bits. The embedded photographs resized, recompressed at quality 10, brightened by 30% or with
# noise of sigma 25 differ by 28 at most; different crops, textures and noise by 58 at least.
NEAR_BITS = 40

# A flat image has no bits but those of rounding; others have about half of them set.
FEWEST_BITS = 16

# Smaller images, such as digits of 28x28, are compared pixel by pixel only. They come by the ten
# thousand and many look alike without being copies, so what they look like tells nothing.
SMALLEST_PX = 32


@dataclass(frozen=True)
class Appearance:
    """What to know an image again by.

    pixels_sha256 : of the pixels; look, marks : None of images that are too small for them.
    """

    pixels_sha256: str
    look: Look | None
    marks: Marks | None


def appearance(pixels: NDArray[np.uint8]) -> Appearance:
    """Of (H, W, C), C = 1 or 3."""
    same = sha256_bytes(f"{pixels.shape}".encode() + pixels.tobytes())
    if min(pixels.shape[:2]) < SMALLEST_PX:
        return Appearance(same, None, None)
    grey = _grey(pixels)
    return Appearance(same, look(pixels), find_marks(np.asarray(grey, np.float32)))


def _grey(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("L")


def look(pixels: NDArray[np.uint8]) -> Look:
    """Perceptual hashes of (H, W, C), C = 1 or 3: 256 bits that hardly change for a copy.

    The signs of the lowest frequencies of the cosine transform, against their median.

    Returns
    -------
    (8, 4), for the image as it is and for its other symmetries: a mirrored copy is a copy, too.
    """
    import imagehash

    side = 4 * HASH_SIDE  # of the picture that such a hash is made of
    small = np.asarray(_grey(pixels).resize((side, side), Image.Resampling.LANCZOS))
    turned = [Image.fromarray(np.ascontiguousarray(turn(small, symmetry))) for symmetry in range(8)]
    bits = [imagehash.phash(each, hash_size=HASH_SIDE).hash for each in turned]
    return np.stack([np.packbits(each) for each in bits]).view(np.uint64)


def nearest(wanted: Look, looks: NDArray[np.uint64]) -> int | None:
    """Index of the look, of (N, 8, 4) `looks`, that is most like `wanted`; None where none is near."""
    if not len(looks) or np.bitwise_count(wanted[0]).sum() < FEWEST_BITS:
        return None
    distances = np.bitwise_count(looks[:, :1] ^ wanted).sum(axis=2).min(axis=1)
    best = int(distances.argmin())
    return best if distances[best] <= NEAR_BITS else None


class Album:
    """Images that others must not be copies of."""

    def __init__(self, images: Sequence[Appearance]) -> None:
        self._numbers = [number for number, image in enumerate(images) if image.look is not None]
        self._looks = np.array([image.look for image in images if image.look is not None], dtype=np.uint64)
        self._marks = MarkIndex([image.marks for image in images if image.marks is not None])

    def original(self, image: Appearance) -> tuple[int, str] | None:
        """Number of the image that `image` is a copy of, and what kind of copy; None if of none."""
        if image.look is None or image.marks is None:
            return None
        like = nearest(image.look, self._looks)
        if like is not None:
            return self._numbers[like], "near-duplicate of"
        whole = self._marks.sharing(image.marks)
        return None if whole is None else (self._numbers[whole], "shares a part with")

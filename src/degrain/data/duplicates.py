"""Images that are the same, or nearly: by their pixels, and by what they look like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Look = NDArray[np.uint64]

HASH_SIDE = 16

# Of 256 bits. The embedded photographs resized, recompressed at quality 10, brightened by 30% or with
# noise of sigma 25 differ by 28 at most; different crops, textures and noise by 58 at least.
NEAR_BITS = 40

# A flat image has no bits but those of rounding; others have about half of them set.
FEWEST_BITS = 16


def look(pixels: NDArray[np.uint8]) -> Look:
    """Perceptual hash of (H, W, C), C = 1 or 3: 256 bits as (4,) that hardly change for a copy.

    The signs of the lowest frequencies of the cosine transform, against their median.
    """
    import imagehash
    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    bits = imagehash.phash(image, hash_size=HASH_SIDE).hash
    return np.packbits(bits).view(np.uint64)


def nearest(wanted: Look, looks: NDArray[np.uint64]) -> int | None:
    """Index of the look, of (N, 4) `looks`, that is most like `wanted`; None where none is near."""
    if not len(looks) or np.bitwise_count(wanted).sum() < FEWEST_BITS:
        return None
    distances = np.bitwise_count(looks ^ wanted).sum(axis=1)
    best = int(distances.argmin())
    return best if distances[best] <= NEAR_BITS else None

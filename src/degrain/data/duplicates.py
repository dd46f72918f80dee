"""Images that are the same, or nearly: by their pixels, and by what they look like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from degrain.data.augment import turn

Look = NDArray[np.uint64]

HASH_SIDE = 16

# Of 256 bits. The embedded photographs resized, recompressed at quality 10, brightened by 30% or with
# noise of sigma 25 differ by 28 at most; different crops, textures and noise by 58 at least.
NEAR_BITS = 40

# A flat image has no bits but those of rounding; others have about half of them set.
FEWEST_BITS = 16


def look(pixels: NDArray[np.uint8]) -> Look:
    """Perceptual hashes of (H, W, C), C = 1 or 3: 256 bits that hardly change for a copy.

    The signs of the lowest frequencies of the cosine transform, against their median.

    Returns
    -------
    (8, 4), for the image as it is and for its other symmetries: a mirrored copy is a copy, too.
    """
    import imagehash
    from PIL import Image

    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("L")
    side = 4 * HASH_SIDE  # of the picture that such a hash is made of
    small = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS))
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

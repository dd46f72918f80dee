"""What decoding gives, and what every decoder needs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Format = Literal["PNG", "JPEG", "WebP", "TIFF"]
Array = NDArray[Any]

# More is refused: a few bytes can claim to be terabytes. Three channels of this are 6 GB in float32.
MAX_PIXELS = 500_000_000

ORIENTATION = 0x0112  # number of the tag, in EXIF and TIFF alike


class UnsupportedError(ValueError):
    """An undamaged file of a kind that we do not read; the message is the reason."""


@dataclass(frozen=True)
class Stored:
    """The pixels of a file as they are stored.

    Attributes
    ----------
    pixels : (H, W, C), C = 1 or 3; uint8, uint16 or floats in [0, 1].
    alpha : (H, W, 1) of the same type, or None.
    format : what the contents are, whatever the file is called.
    orientation : 1 to 8, EXIF's way of saying how to turn the pixels.
    from_cmyk : whether the colours were converted, so that the file's profile is not theirs.
    """

    pixels: Array
    alpha: Array | None
    format: Format
    orientation: int
    from_cmyk: bool = False


def part_alpha(samples: Array, kind: Format, orientation: int, *, from_cmyk: bool = False) -> Stored:
    """Part the last of 2 or 4 channels, if (H, W) or (H, W, C) `samples` have so many, as alpha."""
    samples = samples[..., None] if samples.ndim == 2 else samples
    channels = samples.shape[2]
    if channels in (1, 3):
        return Stored(samples, None, kind, orientation, from_cmyk)
    return Stored(samples[..., :-1], samples[..., -1:], kind, orientation, from_cmyk)


def white(dtype: np.dtype[Any]) -> int:
    """Value of white, or of full ink: the largest integer, or 1 of floats."""
    return 1 if dtype.kind == "f" else int(np.iinfo(dtype).max)


def check_size(width: int, height: int) -> None:
    """Refuse what would fill the memory, before it is decoded, and what has no pixels at all."""
    if min(width, height) < 1:
        msg = f"{width}x{height} pixels"
        raise ValueError(msg)
    if width * height > MAX_PIXELS:
        msg = f"{width}x{height} pixels; at most {MAX_PIXELS // 1_000_000} megapixels are read, so cut it up"
        raise UnsupportedError(msg)


def exif_orientation(exif: bytes | None) -> int:
    """1 to 8; 1 where the tag is missing or damaged."""
    tags = Image.Exif()
    try:
        tags.load(exif or b"")
        return known_orientation(tags.get(ORIENTATION))
    except Exception:  # whatever is wrong with the block, the pixels are none the worse
        return 1


def known_orientation(value: object) -> int:
    """`value` if it is one of the orientations that exist, otherwise 1."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def cmyk_to_rgb(samples: Array, profile: bytes | None) -> Array:
    """Convert (H, W, 4) inks, integers whose largest value is full ink, to (H, W, 3) sRGB.

    By the file's colour profile where there is one that can be used, otherwise as if inks were
    filters on top of one another.
    """
    import imagecodecs

    if profile and samples.dtype.kind == "u":
        # A damaged profile is no reason to refuse the picture.
        with contextlib.suppress(RuntimeError, ValueError):
            srgb = imagecodecs.cms_profile("srgb")
            inks = np.ascontiguousarray(samples)
            return imagecodecs.cms_transform(inks, profile, srgb, colorspace="cmyk", outcolorspace="rgb")
    full = white(samples.dtype)
    light = (full - samples.astype(np.float32)) / np.float32(full)
    rgb = light[..., :3] * light[..., 3:] * np.float32(full)
    return (np.rint(rgb) if full > 1 else rgb).astype(samples.dtype)

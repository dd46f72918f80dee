"""TIFF through tifffile: one page of grey, RGB, palette or CMYK, integers or floats."""

from __future__ import annotations

import io
import logging
import math
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from degrain.codecs.jpeg import jpeg_size
from degrain.codecs.stored import (
    ORIENTATION,
    Array,
    Stored,
    UnsupportedError,
    check_size,
    cmyk_to_rgb,
    known_orientation,
    part_alpha,
    white,
)
from degrain.codecs.webp import webp_size

if TYPE_CHECKING:
    import tifffile

# Channels of every photometric interpretation that we read, less alpha.
COLOURS = {"MINISWHITE": 1, "MINISBLACK": 1, "PALETTE": 1, "RGB": 3, "YCBCR": 3, "SEPARATED": 4}
ICC_PROFILE = 34675  # number of the tag
INK_SET = 332  # number of the tag
JPEG_COMPRESSIONS = (6, 7, 33007, 34892)
# Compressions whose parts are whole files, which say themselves how large they are: JPEG, lossy DNG, WebP.
FILES_INSIDE = {7: jpeg_size, 34892: jpeg_size, 50001: webp_size}
# Those that are decoded into no more than the tags say: none, fax, LZW, Deflate, PackBits, LZMA, Zstandard.
BOUNDED = (1, 2, 3, 4, 5, 8, 32946, 32773, 34925, 50000)
MOST_PAGES = 64  # looked at; the picture is among the first, and a file can claim millions


def decode_tiff(data: bytes) -> Stored:
    """Decode the only page of a TIFF; palettes and CMYK become RGB."""
    with _opened(data) as file:
        page = only_page(file)
        check_size(page.imagewidth, page.imagelength)
        samples = _colours(page, _samples(page))
        orientation = known_orientation(page.tags.valueof(ORIENTATION))
        return part_alpha(samples, "TIFF", orientation, from_cmyk=_photometric(page) == "SEPARATED")


def tiff_size(data: bytes) -> tuple[int, int]:
    """(width, height) of the picture, of its tiles or of files inside of it, whichever is largest."""
    with _opened(data) as file:
        page = only_page(file)
        sizes = [(page.imagewidth, page.imagelength), (page.tilewidth, page.tilelength * page.tiledepth)]
        if size_inside := FILES_INSIDE.get(page.compression):
            spans = zip(page.dataoffsets, page.databytecounts, strict=True)
            sizes += [size_inside(data[at : at + count]) for at, count in spans]
        elif page.compression not in BOUNDED:
            msg = f"a TIFF of compression {page.compression}, whose size only decoding shows"
            raise UnsupportedError(msg)
        return max(sizes, key=math.prod)


def _opened(data: bytes) -> tifffile.TiffFile:
    import tifffile

    # It logs whatever is odd about tags that we do not even use.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    return tifffile.TiffFile(io.BytesIO(data))


def only_page(file: tifffile.TiffFile) -> tifffile.TiffPage:
    """Find the one picture in a TIFF, not counting thumbnails and masks of it."""
    every = [page.aspage() for page in islice(file.pages, MOST_PAGES)]
    pages = [page for page in every if not page.is_reduced and not page.is_mask]
    layers = (file.imagej_metadata or {}).get("images", 1)
    count = max(len(pages), *(page.imagedepth for page in pages), layers)
    if count != 1:
        msg = f"a TIFF of {count} pages; expected one"
        raise UnsupportedError(msg)
    return pages[0]


def _photometric(page: tifffile.TiffPage) -> str:
    return getattr(page.photometric, "name", str(page.photometric))


def _samples(page: tifffile.TiffPage) -> Array:
    """Read the samples (H, W, S) as they are, after checking that we understand them."""
    kind = _photometric(page)
    raw_ycbcr = kind == "YCBCR" and page.compression not in JPEG_COMPRESSIONS
    other_inks = kind == "SEPARATED" and page.tags.valueof(INK_SET, 1) != 1
    if kind not in COLOURS or raw_ycbcr or other_inks:
        msg = f"a TIFF in the colour space {kind}; expected grey, RGB, palette or CMYK"
        raise UnsupportedError(msg)
    if page.samplesperpixel - COLOURS[kind] not in (0, 1):
        msg = f"a TIFF of {page.samplesperpixel} channels; expected grey, RGB or CMYK, and perhaps alpha"
        raise UnsupportedError(msg)
    if page.samplesperpixel == 2 and tuple(page.extrasamples) not in ((1,), (2,)):
        msg = "a TIFF of two channels, neither of them marked as alpha; save each as an image of its own"
        raise UnsupportedError(msg)
    if not page.dataoffsets or 0 in page.databytecounts:
        msg = "truncated: parts of the picture are missing"  # tifffile would make them black
        raise ValueError(msg)
    samples: Array = page.asarray()
    if page.planarconfig == 2 and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, -1)
    return samples.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)


def _colours(page: tifffile.TiffPage, samples: Array) -> Array:
    """Turn samples of any kind into grey or RGB, perhaps with alpha, of the full range."""
    kind = _photometric(page)
    if kind == "PALETTE":
        return _look_up(page, samples)
    samples = _full_range(samples, page.bitspersample)
    colours, alpha = np.split(samples, [COLOURS[kind]], axis=2)
    if kind == "MINISWHITE":
        colours = white(samples.dtype) - colours
    elif kind == "SEPARATED":
        colours = cmyk_to_rgb(colours, page.tags.valueof(ICC_PROFILE))
    return np.concatenate([colours, alpha], axis=2)


def _look_up(page: tifffile.TiffPage, samples: Array) -> Array:
    """Turn indices (H, W, 1) into the colours (H, W, 3) of the page's palette."""
    palette = page.colormap
    if palette is None or samples.shape[2] != 1:
        msg = "a TIFF whose palette is missing or has transparency"
        raise UnsupportedError(msg)
    # The format says 16 bits, of which the upper 8 count; some writers fill in 8.
    colours = palette >> 8 if palette.max() > 255 else palette
    return colours.T.astype(np.uint8)[samples[..., 0]]


def _full_range(samples: Array, bits: int) -> Array:
    """Stretch integers of 1 to 16 bits to all of 8 or 16; let floats be, if they lie in [0, 1]."""
    kind = samples.dtype.kind
    if kind in "bu" and bits <= 16:
        top = (1 << bits) - 1
        dtype = np.dtype(np.uint8 if bits <= 8 else np.uint16)
        if top < white(dtype):
            samples = np.rint(samples * (white(dtype) / top)).astype(dtype)
        return samples
    if kind != "f":
        msg = f"a TIFF of {samples.dtype.name} samples; expected uint8, uint16 or floats"
        raise UnsupportedError(msg)
    low, high = samples.min(), samples.max()
    if not (low >= 0 and high <= 1):
        msg = f"a float TIFF of values from {low:g} to {high:g}; expected 0 to 1"
        raise UnsupportedError(msg)
    return samples

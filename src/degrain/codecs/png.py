"""PNG through libpng itself, as Pillow and scikit-image read 16-bit colour as 8 bits."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from degrain.codecs.stored import Array, Stored, UnsupportedError, check_size, exif_orientation, part_alpha

SIGNATURE = b"\x89PNG\r\n\x1a\n"

# A third of the time of the usual 6, for files that are a few per cent larger.
COMPRESSION_LEVEL = 4


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, contents) of every whole chunk of a PNG."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if at + 12 + size > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size


def png_size(data: bytes) -> tuple[int, int]:
    """(width, height) by the header."""
    _, contents = next(png_chunks(data))
    width, height = struct.unpack_from(">II", contents)
    return width, height


def decode_png(data: bytes) -> Stored:
    """Decode a PNG; palettes become RGB, and transparent colours an alpha channel."""
    import imagecodecs

    exif = None
    for name, contents in png_chunks(data):
        if name == b"IHDR":
            check_size(*struct.unpack_from(">II", contents))
        elif name == b"acTL":
            msg = "an animated PNG"
            raise UnsupportedError(msg)
        elif name == b"eXIf":
            exif = contents
    return part_alpha(imagecodecs.png_decode(data), "PNG", exif_orientation(exif))


def encode_png(samples: Array) -> bytes:
    """Encode (H, W, C), C = 1 to 4, uint8 or uint16, without metadata."""
    import imagecodecs

    plain = samples[..., 0] if samples.shape[2] == 1 else samples
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(plain), level=COMPRESSION_LEVEL))

"""WebP through libwebp. No limit on the size is needed: the format's own is 16383x16383 pixels."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from degrain.codecs.stored import Stored, UnsupportedError, exif_orientation, part_alpha


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, contents) of every whole chunk of a WebP."""
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            return
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) by the header of the picture itself, 14 bits each."""
    for name, contents in webp_chunks(data):
        if name == b"VP8L":  # lossless
            bits = int.from_bytes(contents[1:5], "little")
            return 1 + bits % 2**14, 1 + (bits >> 14) % 2**14
        if name == b"VP8 ":
            width, height = struct.unpack_from("<HH", contents, 6)
            return width % 2**14, height % 2**14
    msg = "no picture in it"
    raise ValueError(msg)


def decode_webp(data: bytes) -> Stored:
    """Decode a WebP."""
    import imagecodecs

    chunks = dict(webp_chunks(data))
    if b"ANIM" in chunks:
        msg = "an animated WebP"
        raise UnsupportedError(msg)
    return part_alpha(imagecodecs.webp_decode(data), "WebP", exif_orientation(chunks.get(b"EXIF")))

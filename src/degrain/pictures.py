"""Pictures with all that a restored copy must keep: format, bit depth, transparency and metadata."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow

from degrain.codecs import decode
from degrain.codecs.png import COMPRESSION_LEVEL, SIGNATURE, png_chunks
from degrain.codecs.stored import Array, Stored
from degrain.codecs.tiff import ICC_PROFILE, only_page
from degrain.codecs.webp import webp_chunks
from degrain.files import Image, atomic_write, from_float, read_bytes, to_float
from degrain.tiff_tags import Parts, copy_tags

if TYPE_CHECKING:
    import tifffile

# Encodes samples (H, W, C), alpha included, with the metadata of the picture.
Encoder = Callable[[Array, "Picture"], Parts]

QUALITY = 95  # of JPEG, and of WebP that was not lossless

# Lossless compressions of TIFF that are kept: none, LZW, Deflate (two numbers), PackBits, LZMA, Zstandard.
LOSSLESS = (1, 5, 8, 32946, 32773, 34925, 50000)
DEFLATE = 8
UNASSOCIATED_ALPHA = 2

PNG_HEADER_END = len(SIGNATURE) + 25  # the chunk IHDR always comes first
PNG_END_BYTES = 12  # of the chunk IEND, the last
# Chunks about colour and time that the letter case of their names does not mark as safe to copy.
PNG_METADATA = frozenset({b"cHRM", b"cICP", b"cLLI", b"gAMA", b"iCCP", b"mDCV", b"sRGB", b"tIME"})
# These hold values as large as the samples.
PNG_SAMPLE_VALUES = frozenset({b"bKGD", b"sBIT"})

APP0, APP2, APP11, APP14, APP15, COMMENT, START_OF_SCAN = 0xE0, 0xE2, 0xEB, 0xEE, 0xEF, 0xFE, 0xDA


@dataclass(frozen=True)
class Picture:
    """An image file in memory.

    Attributes
    ----------
    stored : pixels (not turned by the orientation tag, which is kept), alpha, format, orientation.
    source : bytes of a file of its format with its metadata, whatever that file's pixels.
    """

    stored: Stored
    source: bytes

    @property
    def pixels(self) -> Image:
        """(H, W, C) in [0, 1], C = 1 or 3, converted each time."""
        return to_float(self.stored.pixels)


def read_picture(path: Path) -> Picture:
    """Read an image file; the pixels may be written to.

    Raises
    ------
    ImageFileError : naming the path, the reason and what to do.
    """
    return decode_picture(read_bytes(path), path)


def decode_picture(source: bytes, path: Path) -> Picture:
    """Decode the bytes of an image file; `path` only appears in errors. See `read_picture`."""
    stored = decode(source, path)
    if not stored.pixels.flags.writeable:
        stored = replace(stored, pixels=stored.pixels.copy())
    # The metadata in the file of a single pixel: the bytes of a large image need not be kept.
    dot = replace(
        stored, pixels=stored.pixels[:1, :1], alpha=None if stored.alpha is None else stored.alpha[:1, :1]
    )
    return Picture(stored, encode_picture(Picture(dot, source), dot.pixels))


def write_picture(path: Path, picture: Picture, pixels: Array) -> None:
    """Write `picture` with other pixels, atomically; see `encode_picture`."""
    parts = _encode(picture, pixels)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.writelines(parts)


def encode_picture(picture: Picture, pixels: Array) -> bytes:
    """Give a picture other pixels; format, bit depth, alpha and metadata are kept.

    Palettes and 1 to 7 bits become 8 bits, CMYK becomes RGB, lossy formats are written at quality 95.

    Parameters
    ----------
    pixels : of the shape of `picture.pixels`; floats, clamped to [0, 1], or of the stored type.

    Raises
    ------
    ValueError : if the shape or type differs or there is not-a-number among the pixels.
    """
    return b"".join(_encode(picture, pixels))


def _encode(picture: Picture, pixels: Array) -> Parts:
    stored = picture.stored
    samples = from_float(pixels, stored.pixels.dtype) if pixels.dtype.kind == "f" else pixels
    if (samples.shape, samples.dtype) != (stored.pixels.shape, stored.pixels.dtype):
        msg = (
            f"{samples.dtype} of shape {samples.shape}; expected {stored.pixels.shape}, {stored.pixels.dtype}"
        )
        raise ValueError(msg)
    if stored.alpha is not None:
        samples = np.concatenate([samples, stored.alpha], axis=2)
    encoders: dict[str, Encoder] = {
        "PNG": _encode_png,
        "JPEG": _encode_jpeg,
        "WebP": _encode_webp,
        "TIFF": _encode_tiff,
    }
    return encoders[stored.format](samples, picture)


def _encode_png(samples: Array, picture: Picture) -> Parts:
    encoded = _png(samples)
    kinds = slice(PNG_HEADER_END - 9, PNG_HEADER_END - 7)  # bit depth and colour type
    same_samples = encoded[kinds] == picture.source[kinds]
    early: list[bytes] = []
    late: list[bytes] = []
    kept = early
    for name, contents in png_chunks(picture.source):
        if name == b"IDAT":
            kept = late
        elif _is_kept(name, same_samples):
            kept.append(_png_chunk(name, contents))
    header, pixels, end = (
        encoded[:PNG_HEADER_END],
        encoded[PNG_HEADER_END:-PNG_END_BYTES],
        encoded[-PNG_END_BYTES:],
    )
    return [header, *early, pixels, *late, end]


def _png(samples: Array) -> memoryview:
    """A PNG without metadata, in a buffer of our own: imagecodecs copies its own, at times too small."""
    import imagecodecs

    encode: Any = imagecodecs.png_encode  # its types do not know of arrays to write into
    plain = np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    most = int(1.01 * (plain.nbytes + len(plain))) + 10_000
    return memoryview(encode(plain, level=COMPRESSION_LEVEL, out=np.empty(most, np.uint8)))


def _is_kept(name: bytes, same_samples: bool) -> bool:
    """Whether a chunk is metadata that still holds."""
    if name in PNG_SAMPLE_VALUES:
        return same_samples
    ancillary, safe_to_copy = name[0] & 32, name[3] & 32
    return name in PNG_METADATA or bool(ancillary and safe_to_copy)


def _png_chunk(name: bytes, contents: bytes) -> bytes:
    crc = zlib.crc32(name + contents)
    return struct.pack(">I", len(contents)) + name + contents + struct.pack(">I", crc)


def _encode_jpeg(samples: Array, picture: Picture) -> Parts:
    buffer = io.BytesIO()
    _to_pillow(samples).save(buffer, "JPEG", quality=QUALITY, subsampling="4:4:4")
    encoded = buffer.getvalue()
    metadata = list(_jpeg_metadata(picture))
    (_, jfif), *_ = _jpeg_segments(encoded)
    rest = encoded[2 + len(jfif) :]
    # The source's own, with its resolution, rather than the encoder's. It must come first.
    jfif = next((segment for segment in metadata if segment[1] == APP0), jfif)
    others = [segment for segment in metadata if segment[1] != APP0]
    return [encoded[:2], jfif, *others, rest]


def _jpeg_metadata(picture: Picture) -> Iterator[bytes]:
    """Segments that say nothing about how the pixels are encoded: EXIF, XMP, profile, IPTC, comments."""
    for marker, segment in _jpeg_segments(picture.source):
        contents = segment[4:]
        profile_of_inks = picture.stored.from_cmyk and contents.startswith(b"ICC_PROFILE\0")
        other_pictures = contents.startswith((b"MPF\0", b"JFXX\0"))
        about_pixels = marker in (APP11, APP14) or profile_of_inks or other_pictures
        if (APP0 <= marker <= APP15 or marker == COMMENT) and not about_pixels:
            yield segment


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, segment with its marker) of everything before the pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == START_OF_SCAN:
            return
        size = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if size < 4 or at + size > len(data):  # damaged
            return
        yield marker, data[at : at + size]
        at += size


def _encode_webp(samples: Array, picture: Picture) -> Parts:
    chunks = dict(webp_chunks(picture.source))
    names = {"exif": b"EXIF", "icc_profile": b"ICCP", "xmp": b"XMP "}
    metadata: dict[str, Any] = {key: chunks[name] for key, name in names.items() if name in chunks}
    lossless = b"VP8L" in chunks
    buffer = io.BytesIO()
    _to_pillow(samples).save(buffer, "WEBP", lossless=lossless, quality=QUALITY, exact=True, **metadata)
    return [buffer.getbuffer()]


def _to_pillow(samples: Array) -> Pillow.Image:
    return Pillow.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)


def _extra_samples(page: tifffile.TiffPage) -> list[int]:
    """What the file says of its fourth, or of grey's second, channel."""
    return [kind if kind in (0, 1, 2) else UNASSOCIATED_ALPHA for kind in page.extrasamples] or [
        UNASSOCIATED_ALPHA
    ]


def _encode_tiff(samples: Array, picture: Picture) -> Parts:
    import tifffile

    several = samples.shape[2] > 1
    buffer = io.BytesIO()
    with tifffile.TiffFile(io.BytesIO(picture.source)) as source:
        page = only_page(source)
        compression = page.compression if page.compression in LOSSLESS else DEFLATE
        tifffile.imwrite(
            buffer,
            samples if several else samples[..., 0],
            byteorder=source.byteorder,
            bigtiff=source.is_bigtiff,
            photometric="rgb" if samples.shape[2] > 2 else "minisblack",
            planarconfig="contig" if several else None,
            extrasamples=_extra_samples(page) if picture.stored.alpha is not None else None,
            compression=compression,
            predictor=compression > 1 and page.predictor > 1,
            metadata=None,
            software=False,
        )
        without = (ICC_PROFILE,) if picture.stored.from_cmyk else ()
        return copy_tags(picture.source, page.offset, buffer.getvalue(), without=without)

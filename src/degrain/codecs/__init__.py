"""Image files as stored pixels: PNG, JPEG, WebP and TIFF, of 8 or 16 bits.

Bytes in, bytes out: `degrain.files` and `degrain.pictures` read and write the files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from degrain.codecs.jpeg import decode_jpeg, jpeg_size
from degrain.codecs.png import decode_png, png_chunks, png_size
from degrain.codecs.stored import Format, Stored, UnsupportedError
from degrain.codecs.tiff import decode_tiff, tiff_size
from degrain.codecs.webp import decode_webp, webp_size
from degrain.errors import ImageFileError

_DECODERS: Mapping[Format, Callable[[bytes], Stored]] = {
    "PNG": decode_png,
    "JPEG": decode_jpeg,
    "WebP": decode_webp,
    "TIFF": decode_tiff,
}
_SIZES: Mapping[Format, Callable[[bytes], tuple[int, int]]] = {
    "PNG": png_size,
    "JPEG": jpeg_size,
    "WebP": webp_size,
    "TIFF": tiff_size,
}

Result = TypeVar("Result")


def decode(data: bytes, path: Path) -> Stored:
    """Decode the bytes of an image file; `path` only appears in errors.

    Raises
    ------
    ImageFileError : if it is no image, damaged, of an unsupported kind or too large.
    """
    return _read(data, path, _DECODERS)


def claimed_size(data: bytes, path: Path) -> tuple[int, int]:
    """(width, height) of the largest picture that decoding would make room for, from the headers alone.

    A few bytes can claim to be terabytes, in a TIFF in its tiles and in JPEGs inside of it, too.

    Raises
    ------
    ImageFileError : if it is no image, its headers are damaged, or its size only shows by decoding.
    """
    return _read(data, path, _SIZES)


def _read(data: bytes, path: Path, readers: Mapping[Format, Callable[[bytes], Result]]) -> Result:
    kind = sniff(data)
    if kind is None:
        reason = "not a PNG, JPEG, WebP or TIFF image" if data else "empty file"
        raise ImageFileError(path, reason, "convert it, delete it or fetch it again")
    try:
        return readers[kind](data)
    except UnsupportedError as error:
        raise ImageFileError(path, str(error), "save it as one grey or RGB image of 8 or 16 bits") from error
    except MemoryError:
        raise
    except Exception as error:
        # The decoders raise errors of their own, struct's, zlib's, Pillow's SyntaxError and more.
        reason = f"truncated {kind}" if _truncated(kind, data, error) else f"corrupt {kind} ({error})"
        raise ImageFileError(path, reason, "delete it or fetch it again") from error


def sniff(data: bytes) -> Format | None:
    """Tell the format by the first bytes."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    return None


def _truncated(kind: Format, data: bytes, error: Exception) -> bool:
    """Whether the file ends before the image does."""
    if kind == "PNG":
        return not any(name == b"IEND" for name, _ in png_chunks(data))
    if kind == "WebP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    return any(hint in str(error).lower() for hint in ("truncated", "failed to read", "reshaped from"))

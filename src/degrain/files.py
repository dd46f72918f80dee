"""Atomic writes, checksums, tables, and images as float32 arrays in [0, 1].

Images are (H, W, C) with C = 1 (grey) or 3 (RGB) in NumPy and (1, C, H, W) in torch; this module is
the only one to convert. Torch and pandas are imported where they are needed: the `sources` stage
runs at every `dvc repro` and must not wait for them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from degrain.codecs import decode
from degrain.codecs.png import encode_png
from degrain.codecs.stored import Stored, white
from degrain.errors import ImageFileError

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

Image = NDArray[np.float32]
Pixels = TypeVar("Pixels", bound=np.generic)

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})

# ITU-R 601, as Pillow's "L".
LUMA = (0.299, 0.587, 0.114)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to `path` on success and removed on failure.

    Missing folders are made. A hard link to the old file keeps the old contents.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{secrets.token_hex(6)}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends atomically; undecodable parts of file names survive."""
    write_bytes(path, text.encode("utf-8", errors="surrogateescape"))


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically: keys in the order given, indented, not-a-number and infinity refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table without its index atomically; the caller rounds."""
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a table of mappings, which must have exactly these columns, as CSV atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV table as one mapping a row."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def sha256_bytes(data: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_images(folder: Path) -> list[Path]:
    """Every png, jpg, tif or webp file below `folder`, in an order that depends on their names alone.

    Hidden files and folders are left out. Links to folders are followed, each folder once.
    """
    found: list[Path] = []
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        inside = {name: os.path.realpath(Path(parent, name)) for name in folders if name[0] != "."}
        folders[:] = sorted(name for name, real in inside.items() if real not in seen)
        seen.update(inside.values())
        found += [Path(parent, name) for name in names if name[0] != "." and is_image_name(name)]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def is_image_name(name: str) -> bool:
    """Whether a file name ends like that of an image."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def read_bytes(path: Path) -> bytes:
    """Read an image file whole.

    Raises
    ------
    ImageFileError : if it is missing or may not be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageFileError(path, "no such file", "check the name") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageFileError(path, f"not readable ({reason})", "check its permissions") from error


def read_image(path: Path) -> Image:
    """Read an image of 8 or 16 bits (or a float TIFF), grey or colour, the right way up.

    Returns
    -------
    (H, W, C) in [0, 1], C = 1 or 3. Transparency is dropped; palettes and CMYK become RGB.

    Raises
    ------
    ImageFileError : naming the path, the reason and what to do.
    """
    stored = decode(read_bytes(path), path)
    return to_float(upright(stored.pixels, stored.orientation))


def write_image(path: Path, image: Image) -> None:
    """Write (H, W, C) as an 8-bit PNG, clamped to [0, 1] and rounded, atomically."""
    write_bytes(path, encode_png(from_float(image, np.dtype(np.uint8))))


def to_8_bit_pixels(stored: Stored, channels: int) -> NDArray[np.uint8]:
    """Turn what a file stores into upright (H, W, channels) bytes, sparing memory where they already are."""
    pixels = upright(stored.pixels, stored.orientation)
    if pixels.dtype != np.uint8 or pixels.shape[2] != channels:
        pixels = from_float(to_channels(to_float(pixels), channels), np.dtype(np.uint8))
    return pixels


def to_float(pixels: NDArray[Any]) -> Image:
    """Scale stored pixels, integers of 8 or 16 bits or floats, to float32 in [0, 1]."""
    image: Image = np.divide(pixels, np.float32(white(pixels.dtype)), dtype=np.float32)
    return image


def from_float(image: Image, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Undo `to_float`: clamp to [0, 1], scale and, for integers, round.

    Raises
    ------
    ValueError : if `image` holds not-a-number, which no pixel can.
    """
    if np.isnan(image).any():
        msg = "the image holds not-a-number; expected values in [0, 1]"
        raise ValueError(msg)
    scaled = image.clip(0, 1)
    if dtype.kind != "f":
        scaled *= np.float32(white(dtype))
        np.rint(scaled, out=scaled)
    return scaled.astype(dtype)


def upright(pixels: NDArray[Pixels], orientation: int) -> NDArray[Pixels]:
    """Turn stored pixels (H, W, C) as an EXIF orientation, 1 to 8, says."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def to_channels(image: Image, channels: int) -> Image:
    """Turn grey (H, W, 1) into colour (H, W, 3), or colour into grey by the luma of ITU-R 601."""
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return image.repeat(3, axis=2)
    # A sum of its own rather than a product of matrices, whose bits depend on the threads.
    grey: Image = image[..., 0:1] * LUMA[0] + image[..., 1:2] * LUMA[1] + image[..., 2:3] * LUMA[2]
    return grey.clip(0, 1)


def to_tensor(image: Image) -> Tensor:
    """(H, W, C) to (1, C, H, W)."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))


def to_array(tensor: Tensor) -> Image:
    """(1, C, H, W), of any precision and on any device, to (H, W, C)."""
    array: Image = tensor.detach().squeeze(0).float().cpu().numpy()
    return np.ascontiguousarray(array.transpose(1, 2, 0))

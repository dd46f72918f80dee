"""Archives of the MNIST kind: many small grey images in one gzipped file."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from degrain.errors import ImageFileError

IMAGES = 0x00000803  # unsigned bytes in three dimensions
HEADER = struct.Struct(">IIII")


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read all images of a gzipped IDX file: (N, H, W, 1).

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".

    Raises
    ------
    ImageFileError : missing, damaged, or not images.
    """
    try:
        data = gzip.decompress(path.read_bytes())
        magic, count, height, width = HEADER.unpack_from(data)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise ImageFileError(path, f"not a gzipped IDX file ({error})", "fetch it again") from error
    if magic != IMAGES or len(data) != HEADER.size + count * height * width:
        found = f"magic number {magic:#010x}, {len(data)} bytes"
        reason = f"expected an IDX file of {count} images of {width}x{height} bytes, found {found}"
        raise ImageFileError(path, reason, "fetch it again")
    return np.frombuffer(data, np.uint8, offset=HEADER.size).reshape(count, height, width, 1)

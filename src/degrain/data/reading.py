"""From the path in the table of sources to pixels."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from degrain.codecs import decode
from degrain.codecs.stored import white
from degrain.data.embedded import locate
from degrain.data.idx import read_idx
from degrain.errors import ImageFileError
from degrain.files import read_bytes, sha256_bytes, to_8_bit_pixels
from degrain.standard_sets import STANDARD_SETS


def local_file(name_of_set: str, path: str, fetched: Mapping[str, Path]) -> Path:
    """The file on this machine.

    Parameters
    ----------
    path : as in the table of sources, without #number.
    fetched : the files of standard sets by their paths.
    """
    if name_of_set == "embedded":
        package, _, inside = path.partition(":")
        return locate(package, inside)
    return fetched[path] if name_of_set in STANDARD_SETS else Path(path).expanduser()


# Of 256; what a camera or a microscope stores in 12 of 16 bits, unscaled, has 17.
FEWEST_SHADES = 64


class Reader:
    """Reads images of sets as bytes of the wanted channels.

    Parameters
    ----------
    channels : 1 or 3.
    fetched : the files of standard sets, whose contents have been verified, by their paths.
    """

    def __init__(self, channels: int, fetched: Mapping[str, Path]) -> None:
        self.channels, self.fetched = channels, fetched
        self._archives: dict[Path, NDArray[np.uint8]] = {}
        self._lock = threading.Lock()

    def __call__(self, name_of_set: str, path: str, sha256: str) -> NDArray[np.uint8]:
        """Upright pixels (H, W, C) of the file at `path` in the table.

        Raises
        ------
        ImageFileError : unreadable, or another file than the one that was listed.
        """
        name, _, number = path.partition("#") if name_of_set in STANDARD_SETS else (path, "", "")
        file = local_file(name_of_set, name, self.fetched)
        if number:
            return np.repeat(self._archive(file)[int(number)], self.channels, axis=2)
        data = read_bytes(file)
        stored = decode(data, file)
        if sha256_bytes(data) != sha256:
            reason = "changed since it was listed; run the pipeline again"
            raise ImageFileError(file, reason, "dvc repro lists it anew")
        pixels = to_8_bit_pixels(stored, self.channels)
        _check_shades(stored.pixels, pixels, file)
        return pixels

    def _archive(self, file: Path) -> NDArray[np.uint8]:
        """All images of an archive, unpacked once."""
        with self._lock:
            if file not in self._archives:
                self._archives[file] = read_idx(file)
            return self._archives[file]


def _check_shades(stored: NDArray[Any], pixels: NDArray[np.uint8], file: Path) -> None:
    """Refuse an image of which 8 bits leave next to nothing.

    Raises
    ------
    ImageFileError : it has few shades now, and had many more.
    """
    if stored.dtype == np.uint8:
        return
    left = np.count_nonzero(np.bincount(pixels.ravel(), minlength=256))
    if left < FEWEST_SHADES and (there := len(np.unique(stored))) > 2 * left:
        reason = f"{there} shades, of which 8 bits leave {left}: it uses a small part of its range"
        raise ImageFileError(file, reason, f"scale it, so that white is {white(stored.dtype)}")

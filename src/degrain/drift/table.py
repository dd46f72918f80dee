"""Tables of features: of image files, of the pipeline's noisy sets, and as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from degrain.codecs import decode
from degrain.drift.features import FEATURES, Pixels, image_features
from degrain.errors import DegrainError, ImageFileError
from degrain.files import find_images, from_float, read_bytes, to_8_bit_pixels, write_csv

COLUMNS = ["name", "level", "channels", *FEATURES]
# More tell no more, and a reference should be small enough for git.
MOST_IN_REFERENCE = 200
DIGITS = 5
THREADS = 2


class DriftError(DegrainError):
    """Images or a reference that cannot be compared."""


@dataclass(frozen=True)
class Described:
    """A table of features, and the files that could not be read."""

    table: pd.DataFrame
    unreadable: list[ImageFileError]


def describe_files(inputs: Sequence[Path], channels: int) -> Described:
    """The features of image files, and of all images below folders.

    Parameters
    ----------
    channels : 1 or 3, to which every image is converted.

    Raises
    ------
    DriftError : if no image is left.
    """
    files = [file for path in inputs for file in (find_images(path) if path.is_dir() else [path])]
    if not files:
        msg = (
            f"{', '.join(map(str, inputs))}: no png, jpg, tif or webp image; name images or folders of images"
        )
        raise DriftError(msg)
    with ThreadPoolExecutor(THREADS) as pool:
        described = pool.map(lambda file: _describe_file(file, channels), files)
        bar = tqdm(described, "images", len(files), unit="image", delay=3, disable=None, leave=False)
        results = list(bar)
    rows = [row for row in results if not isinstance(row, ImageFileError)]
    unreadable = [error for error in results if isinstance(error, ImageFileError)]
    if not rows:
        raise DriftError("\n".join(map(str, unreadable)))
    return Described(_make_table(rows), unreadable)


def describe_noisy_sets(noisy: Path) -> pd.DataFrame:
    """The features of the fixed noisy validation and test images: what the model is made for.

    Parameters
    ----------
    noisy : `data/noisy`. Of many images, every so-and-so-many is taken.
    """
    manifest = pd.read_csv(noisy / "manifest.csv", dtype={"name": str}, keep_default_na=False)
    count = min(len(manifest), MOST_IN_REFERENCE)
    chosen = manifest.iloc[np.linspace(0, len(manifest) - 1, count).astype(int)]
    rows = []
    for row in tqdm(list(chosen.itertuples()), "features", unit="image", delay=3, disable=None, leave=False):
        image = np.load(noisy / str(row.split) / str(row.level) / f"{row.name}.npy", allow_pickle=False)
        pixels = from_float(image, np.dtype(np.uint8))  # as images come in: clipped and rounded
        rows.append(_row(f"{row.split}/{row.name}", str(row.level), pixels))
    return _make_table(rows)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table of features as CSV."""
    write_csv(path, table)


def read_table(path: Path) -> pd.DataFrame:
    """Read what `write_table` wrote.

    Raises
    ------
    DriftError : if it is no such table.
    """
    try:
        table = pd.read_csv(path, dtype=_TEXT, keep_default_na=False, na_values=_NUMBERS)
        missing = [column for column in COLUMNS if column not in table] or ["rows"] * table.empty
        problem = f"it has no {missing[0]}" if missing else ""
    except (OSError, ValueError) as error:
        problem = str(error)
    if problem:
        made = "`dvc repro` and `degrain drift IMAGES --write-reference FILE` make one"
        msg = f"{path}: not a table of features: {problem}; {made}"
        raise DriftError(msg)
    return table


# An image may be called NA or 007.
_TEXT = {"name": str, "level": str}
_NUMBERS = {feature: [""] for feature in FEATURES}


def _describe_file(file: Path, channels: int) -> dict[str, object] | ImageFileError:
    try:
        return _row(str(file), "", to_8_bit_pixels(decode(read_bytes(file), file), channels))
    except ImageFileError as error:
        return error


def _row(name: str, level: str, pixels: Pixels) -> dict[str, object]:
    rounded = {key: float(f"{value:.{DIGITS}g}") for key, value in image_features(pixels).items()}
    return {"name": name, "level": level, "channels": pixels.shape[2], **rounded}


def _make_table(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)

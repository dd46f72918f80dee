"""Measures of the clean images, and of real pairs, and a refusal of those that would poison the model."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from degrain.check_params import Checks
from degrain.codecs import decode
from degrain.data.collect import noisy_folder
from degrain.data.registration import measure_pair
from degrain.data.sources import Source
from degrain.errors import DataError
from degrain.files import read_bytes, write_csv, write_text
from degrain.noise_level import noise_level

# Smaller images are not judged: a digit on black is no accident, and nobody can tell its noise.
SMALLEST_SIDE_PX = 32
# From how many images on their median says what the noise of a set is.
TYPICAL_OF = 8
BLOCK_PX = 8
# A block whose values differ by more shows something.
FLAT_255 = 2
# Measure -> what is wrong with an image beyond the limit of that name.
WRONG = {
    "noise_255": "noisy",
    "clipped": "black or burnt out",
    "flat": "empty",
    "pair_shift_px": "beside its noisy photograph",
    "pair_brightness_255": "brighter or darker than its noisy photograph",
    "pair_unlike": "of another scene than its noisy photograph",
}
# A set of pairs that lie this far beside each other, in the median, is worth a word.
NOTED_SHIFT_PX = 0.1
THREADS = 2
MOST_NAMED, NEAREST, MOST_LISTED = 10, 5, 20

Pixels = NDArray[np.uint8]


def check_images(raw: Path, folder: Path, sources: Sequence[Source], limits: Checks) -> str:
    """Measure every clean image below `raw`, and fail if one would poison the model.

    Writes `images.csv`, a row for each image (see `measure`), and `summary.txt`, which a person reads.

    Parameters
    ----------
    raw : with `manifest.csv`, `rejected.csv` and the images, as `collect` leaves it.
    folder : where the report goes.
    sources : where the images came from.

    Returns
    -------
    A line that says how the check went, and one for each set of pairs that are not quite of the same scene.

    Raises
    ------
    DataError : naming each bad file, what was measured, and what to do.
    """
    table = _measure_all(raw)
    table["path"] = _paths(table, sources)
    write_csv(folder / "images.csv", table)
    write_text(folder / "summary.txt", _summary(table, raw / "rejected.csv", limits))
    bad, accepted = _problems(table, limits)
    if bad:
        raise DataError(_complaint(bad, folder))
    exceptions = f", {accepted} of them accepted beyond a limit" * bool(accepted)
    said = f"{len(table)} clean images checked{exceptions}; see {folder}/summary.txt"
    return "\n".join([said, *_shifted_sets(table)])


def measure(pixels: Pixels) -> dict[str, float]:
    """What tells a good clean image from a bad one.

    Parameters
    ----------
    pixels : (H, W, C), uint8.

    Returns
    -------
    brightness_255, contrast_255 : mean and standard deviation of all values.
    clipped : share of the values that are 0 or 255.
    flat : share of the 8x8 blocks that show nothing.
    noise_255 : what `noise_level` estimates, in units of 255.
    """
    return {
        "brightness_255": round(float(pixels.mean()), 1),
        "contrast_255": round(float(pixels.std()), 1),
        "clipped": round(float(np.isin(pixels, (0, 255)).mean()), 3),
        "flat": round(_flat_share(pixels), 3),
        "noise_255": round(noise_level(pixels) * 255, 1),
    }


def _measure_all(raw: Path) -> pd.DataFrame:
    """A row for each image in the manifest: where it belongs, its size, its measures."""
    manifest = _read_table(raw / "manifest.csv")
    table = manifest[["split", "name", "set", "width", "height"]]
    files = [raw / split / f"{name}.png" for split, name in zip(table["split"], table["name"], strict=True)]
    with ThreadPoolExecutor(THREADS) as pool:
        measured = pool.map(_measure_file, files)
        bar = tqdm(measured, "checks", len(files), unit="image", delay=3, disable=None, leave=False)
        return table.join(pd.DataFrame(list(bar)))


def _measure_file(file: Path) -> dict[str, float]:
    pixels = decode(read_bytes(file), file).pixels
    photograph = noisy_folder(file.parents[1], file.parent.name) / file.name
    if not photograph.is_file():
        return measure(pixels)
    return measure(pixels) | measure_pair(pixels, decode(read_bytes(photograph), photograph).pixels)


def _flat_share(pixels: Pixels) -> float:
    side = min(BLOCK_PX, *pixels.shape[:2])
    rows, columns = (length // side for length in pixels.shape[:2])
    blocks = pixels[: rows * side, : columns * side].reshape(rows, side, columns, side, -1)
    return float((np.ptp(blocks, axis=(1, 3)) <= FLAT_255).all(-1).mean())


def _paths(table: pd.DataFrame, sources: Sequence[Source]) -> list[str]:
    """Where each image came from."""
    paths = {(source.split, source.name): source.path for source in sources}
    return [paths[split, name] for split, name in zip(table["split"], table["name"], strict=True)]


def _problems(table: pd.DataFrame, limits: Checks) -> tuple[list[str], int]:
    """A line for each thing that must not be trained on, and the number of images accepted all the same."""
    accepted = np.array([_is_accepted(row, limits) for row in table.to_dict("records")], dtype=bool)
    bad = list(_noisy_sets(table[~accepted], limits))
    for row in table[~accepted].to_dict("records"):
        reasons = "; ".join(_wrong(row, limits))
        if reasons:
            bad.append(f"{row['path']} ({row['split']}/{row['name']}): {reasons}")
    return bad, sum(any(_wrong(row, limits)) for row in table[accepted].to_dict("records"))


def _is_accepted(row: Mapping[Hashable, Any], limits: Checks) -> bool:
    name = f"{row['split']}/{row['name']}"
    return any(fnmatchcase(name, pattern) for pattern in limits.accept)


def _wrong(row: Mapping[Hashable, Any], limits: Checks) -> Iterator[str]:
    """What is wrong with an image, if it is large enough to tell."""
    if min(row["width"], row["height"]) < SMALLEST_SIDE_PX:
        return
    for name, what in WRONG.items():
        limit = getattr(limits, name)
        if row.get(name, 0) > limit:
            yield f"{what}, {name} = {row[name]:g}, expected at most {limit:g}"


def _noisy_sets(table: pd.DataFrame, limits: Checks) -> Iterator[str]:
    """A line for each set that is noisy as a whole, though perhaps no image stands out."""
    large = table[table[["width", "height"]].min(axis=1) >= SMALLEST_SIDE_PX]
    for (split, name), images in large.groupby(["split", "set"], sort=False):
        typical = images["noise_255"].median()
        if len(images) >= TYPICAL_OF and typical > limits.typical_noise_255:
            yield (
                f"{name} (data.{split}): noisy as a whole, the median of noise_255 is {typical:g}, "
                f"expected at most typical_noise_255 = {limits.typical_noise_255:g}"
            )


def _shifted_sets(table: pd.DataFrame) -> Iterator[str]:
    """A line for each set of pairs that are not quite of the same scene."""
    pairs = table.dropna(subset=["pair_shift_px"]) if "pair_shift_px" in table else table[:0]
    for (split, name), images in pairs.groupby(["split", "set"], sort=False):
        typical, highest = images["pair_shift_px"].median(), images["pair_shift_px"].max()
        if typical > NOTED_SHIFT_PX:
            yield (
                f"{name} (data.{split}): the noisy photographs lie {typical:.2g} px beside the clean images "
                f"(median; up to {highest:.2g} px), which no denoiser can foretell; "
                "data.register_pairs: true moves the clean ones"
            )


def _complaint(bad: Sequence[str], folder: Path) -> str:
    moves = (
        "; data.register_pairs: true moves and brightens the clean images of pairs to the noisy photographs"
    )
    pairs = moves if any("pair_shift_px" in line or "pair_brightness_255" in line for line in bad) else ""
    more = [f"and {len(bad) - MOST_NAMED} more, see {folder}/images.csv"] * (len(bad) > MOST_NAMED)
    return "\n".join(
        [
            "a model should not take these for clean images:",
            *(f"  {line}" for line in [*bad[:MOST_NAMED], *more]),
            f"Look at them; replace or remove what is bad{pairs}. What is right as it is can be accepted in "
            "params.yaml, by the names in brackets or by patterns, as in data.checks.accept: [train/sky_*]; "
            f"data.checks holds the limits too, {folder}/summary.txt what is near to them.",
        ]
    )


def _summary(table: pd.DataFrame, rejected: Path, limits: Checks) -> str:
    """The report for people: each set, the images nearest to the limits, and what was left out."""
    wrong = [name for name in WRONG if name in table]
    table = table.assign(side=table[["width", "height"]].min(axis=1))
    sets = table.groupby(["split", "set"], sort=False).agg(
        images=("name", "size"),
        smallest_side_px=("side", "min"),
        brightness_255=("brightness_255", "median"),
        contrast_255=("contrast_255", "median"),
        noise_255=("noise_255", "median"),
        **{f"highest_{name}": (name, "max") for name in wrong},
    )
    parts = [
        "Clean images, measured before training; images.csv has each of them. Medians, and highest values:"
    ]
    parts.append(sets.reset_index().to_string(index=False, na_rep="-"))
    for name in wrong:
        highest = table.dropna(subset=name).nlargest(NEAREST, name)[["split", "name", name]]
        parts.append(f"Highest {name}; allowed: {getattr(limits, name):g}")
        parts.append(highest.to_string(index=False))
    parts.append(f"Left out before, all of them in {rejected}:")
    left_out = _read_table(rejected)[["split", "path", "reason"]].head(MOST_LISTED)
    parts.append(left_out.to_string(index=False) if len(left_out) else "none")
    return "\n\n".join(parts) + "\n"


def _read_table(path: Path) -> pd.DataFrame:
    """A table as `collect` writes it: an image may be called NA or 007, and its path may hold any bytes."""
    text = {"name": str, "path": str}
    return pd.read_csv(path, dtype=text, keep_default_na=False, encoding_errors="surrogateescape")

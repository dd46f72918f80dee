"""Collect the listed images as 8-bit PNG, and reject what would spoil training or measuring."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from degrain.codecs import decode
from degrain.codecs.png import encode_png
from degrain.data.duplicates import Look, look, nearest
from degrain.data.sources import Source
from degrain.errors import DataError, ImageFileError
from degrain.files import read_bytes, sha256_bytes, to_8_bit_pixels, write_bytes, write_rows

MANIFEST = ("name", "split", "set", "sha256", "width", "height", "channels")
REJECTED = ("name", "split", "set", "path", "reason")
SPLITS = ("train", "val", "test")

# Decoding lets go of Python's lock; more at once would only take more memory.
THREADS = 2


@dataclass(frozen=True)
class Rejection:
    """An image that is left out.

    kind : words to count it under, in the plural; reason : what is wrong with it.
    """

    source: Source
    kind: str
    reason: str


@dataclass(frozen=True)
class Converted:
    """An image as it was written.

    sha256 : of the PNG; shape : (H, W, C); pixels_sha256, look : to find duplicates by.
    """

    source: Source
    sha256: str
    shape: tuple[int, ...]
    pixels_sha256: str
    look: Look


@dataclass(frozen=True)
class Collected:
    """How many images there are of every split, and how many were rejected."""

    counts: dict[str, int]
    rejected: int
    folder: Path

    def __str__(self) -> str:
        """One line, like `8 train, 1 val, 3 test images; none rejected`."""
        counts = ", ".join(f"{count} {split}" for split, count in self.counts.items())
        where = f", see {self.folder}/rejected.csv" if self.rejected else ""
        return f"{counts} images; {self.rejected or 'none'} rejected{where}"


def collect(sources: Sequence[Source], folder: Path, *, channels: int, min_side: int) -> Collected:
    """Write `folder/<split>/<name>.png`, `folder/manifest.csv` and `folder/rejected.csv`.

    Rejected are images that cannot be read, that are smaller than `min_side` pixels, the same as
    another one, or so like one of another split that measuring on that would be cheating: then the
    training image goes, or the validation image if the other is a test image.

    Raises
    ------
    DataError : if a split is left empty, saying why.
    """
    for split in SPLITS:
        shutil.rmtree(folder / split, ignore_errors=True)
    converted, rejections = _convert_all(sources, folder, channels, min_side)
    leaks = list(_duplicates(converted))
    for leak in leaks:
        _target(folder, leak.source).unlink()
    gone = {leak.source for leak in leaks}
    kept = [image for image in converted if image.source not in gone]
    rejections += leaks
    write_rows(folder / "manifest.csv", MANIFEST, map(_manifest_row, kept))
    write_rows(folder / "rejected.csv", REJECTED, map(_rejected_row, rejections))
    counts = Counter(image.source.split for image in kept)
    _check_none_is_empty(counts, rejections, folder)
    return Collected({split: counts[split] for split in SPLITS}, len(rejections), folder)


def _convert_all(
    sources: Sequence[Source], folder: Path, channels: int, min_side: int
) -> tuple[list[Converted], list[Rejection]]:
    converted: list[Converted] = []
    rejections: list[Rejection] = []
    with ThreadPoolExecutor(THREADS) as pool:
        results = pool.map(lambda source: _convert(source, folder, channels, min_side), sources)
        for result in tqdm(results, "images", len(sources), delay=3, disable=None, leave=False):
            if isinstance(result, Converted):
                converted.append(result)
            else:
                rejections.append(result)
    return converted, rejections


def _convert(source: Source, folder: Path, channels: int, min_side: int) -> Converted | Rejection:
    """Write one image as PNG, unless it cannot be used."""
    path = source.locate()
    try:
        data = read_bytes(path)
        stored = decode(data, path)
    except ImageFileError as error:
        return Rejection(source, "unreadable", error.reason)
    if sha256_bytes(data) != source.sha256:
        return Rejection(source, "unreadable", "changed since it was listed; run the pipeline again")
    height, width, _ = stored.pixels.shape
    if min(height, width) < min_side:
        reason = f"{width}x{height} pixels; expected sides of at least data.min_side = {min_side}"
        return Rejection(source, "too small", reason)
    pixels = to_8_bit_pixels(stored, channels)
    png = encode_png(pixels)
    write_bytes(_target(folder, source), png)
    fingerprint = sha256_bytes(f"{pixels.shape}".encode() + pixels.tobytes())
    return Converted(source, sha256_bytes(png), pixels.shape, fingerprint, look(pixels))


def _target(folder: Path, source: Source) -> Path:
    return folder / source.split / f"{source.name}.png"


def _duplicates(images: Sequence[Converted]) -> Iterator[Rejection]:
    """Find those to leave out: test images come before validation images, and those before training."""
    first: dict[str, Source] = {}
    held_out: list[Converted] = []
    for split in reversed(SPLITS):
        unlike: list[Converted] = []
        looks = np.array([image.look for image in held_out], dtype=np.uint64).reshape(-1, 8, 4)
        for image in images:
            if image.source.split != split:
                continue
            twin = first.setdefault(image.pixels_sha256, image.source)
            like = nearest(image.look, looks)
            if twin is not image.source:
                yield Rejection(image.source, "duplicates", f"duplicate of {twin.split}/{twin.name}")
            elif like is not None:
                other = held_out[like].source
                reason = f"near-duplicate of {other.split}/{other.name}, which would leak into {split}"
                yield Rejection(image.source, "near-duplicates of another split", reason)
            else:
                unlike.append(image)
        held_out += unlike


def _manifest_row(image: Converted) -> dict[str, object]:
    height, width, channels = image.shape
    source = image.source
    values = (source.name, source.split, source.set, image.sha256, width, height, channels)
    return dict(zip(MANIFEST, values, strict=True))


def _rejected_row(rejection: Rejection) -> dict[str, object]:
    source = rejection.source
    values = (source.name, source.split, source.set, source.path, rejection.reason)
    return dict(zip(REJECTED, values, strict=True))


def _check_none_is_empty(counts: Counter[str], rejections: Sequence[Rejection], folder: Path) -> None:
    """Say why, one line for each split that is left empty."""
    problems = []
    for split in (split for split in SPLITS if not counts[split]):
        kinds = Counter(rejection.kind for rejection in rejections if rejection.source.split == split)
        why = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        problems.append(
            f"data.{split}: no image left of {kinds.total()} ({why or 'none listed'}); "
            f"see {folder}/rejected.csv and name other sets in params.yaml"
        )
    if problems:
        raise DataError("\n".join(problems))

"""Collect the listed images as 8-bit PNG, and reject what would spoil training or measuring."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from degrain.codecs.png import encode_png
from degrain.data.duplicates import Album, Appearance, appearance
from degrain.data.reading import Reader
from degrain.data.registration import register
from degrain.data.sources import Source
from degrain.errors import DataError, ImageFileError
from degrain.files import sha256_bytes, write_bytes, write_rows

MANIFEST = ("name", "split", "set", "sha256", "width", "height", "channels", "noisy_sha256")
REJECTED = ("name", "split", "set", "path", "reason")
SPLITS = ("train", "val", "test")

# Decoding lets go of Python's lock; more at once would only take more memory.
THREADS = 2

Pixels = NDArray[np.uint8]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rejection:
    """An image that is left out.

    kind : words to count it under, in the plural; reason : what is wrong with it.
    original : the image of another split that it is a copy or a part of, if that is the reason.
    """

    source: Source
    kind: str
    reason: str
    original: Source | None = None


@dataclass(frozen=True)
class Converted:
    """An image as it was written.

    sha256 : of the PNG; shape : (H, W, C); appearance : to find duplicates by; noisy_sha256 : of the
    PNG with the real noise, empty where there is none.
    """

    source: Source
    sha256: str
    shape: tuple[int, ...]
    appearance: Appearance
    noisy_sha256: str


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


def collect(
    sources: Sequence[Source],
    folder: Path,
    *,
    channels: int,
    min_side: int,
    register_pairs: bool = False,
    fetched: Mapping[str, Path] | None = None,
) -> Collected:
    """Write `folder/<split>/<name>.png`, `folder/manifest.csv` and `folder/rejected.csv`.

    Of pairs, the photograph with real noise goes to `folder/<split>_noisy/<name>.png`; with `register_pairs`
    the clean image is moved and brightened to it, and both are cropped to what both show.

    Rejected are images that cannot be read, that are smaller than `min_side` pixels, the same as
    another one, or so like one of another split, or cut out of it, that measuring on that would be
    cheating: then the training image goes, or the validation image if the other is a test image.

    Parameters
    ----------
    fetched : the files of standard sets on this machine by their paths.

    Raises
    ------
    DataError : if a split is left empty, saying why.
    """
    for split in SPLITS:
        shutil.rmtree(folder / split, ignore_errors=True)
        shutil.rmtree(noisy_folder(folder, split), ignore_errors=True)
    read = Reader(channels, fetched or {})
    convert = partial(_convert, folder=folder, read=read, min_side=min_side, register_pairs=register_pairs)
    converted, rejections = _convert_all(sources, convert)
    copies = list(_duplicates(converted))
    for copy in copies:
        for path in _targets(folder, copy.source):
            path.unlink(missing_ok=True)
    gone = {copy.source for copy in copies}
    kept = [image for image in converted if image.source not in gone]
    rejections += copies
    write_rows(folder / "manifest.csv", MANIFEST, map(_manifest_row, kept))
    write_rows(folder / "rejected.csv", REJECTED, map(_rejected_row, rejections))
    _warn_of_leaks(copies)
    counts = Counter(image.source.split for image in kept)
    _check_none_is_empty(counts, rejections, folder)
    return Collected({split: counts[split] for split in SPLITS}, len(rejections), folder)


def noisy_folder(folder: Path, split: str) -> Path:
    """Where the real noisy photographs of a split are."""
    return folder / f"{split}_noisy"


def _convert_all(
    sources: Sequence[Source], convert: Callable[[Source], Converted | Rejection]
) -> tuple[list[Converted], list[Rejection]]:
    converted: list[Converted] = []
    rejections: list[Rejection] = []
    with ThreadPoolExecutor(THREADS) as pool:
        results = pool.map(convert, sources)
        for result in tqdm(results, "images", len(sources), delay=3, disable=None, leave=False):
            if isinstance(result, Converted):
                converted.append(result)
            else:
                rejections.append(result)
    return converted, rejections


def _convert(
    source: Source, *, folder: Path, read: Reader, min_side: int, register_pairs: bool
) -> Converted | Rejection:
    """Write one image, and the noisy one of a pair, as PNG, unless it cannot be used."""
    try:
        clean = read(source.set, source.path, source.sha256)
        noisy = read(source.set, source.noisy, source.noisy_sha256) if source.noisy else None
    except ImageFileError as error:
        return Rejection(source, "unreadable", error.reason)
    height, width, _ = clean.shape
    if noisy is not None and noisy.shape != clean.shape:
        reason = f"{width}x{height} pixels, but the noisy one {noisy.shape[1]}x{noisy.shape[0]}"
        return Rejection(source, "pairs of different sizes", reason)
    look = appearance(clean)
    if noisy is not None and register_pairs:
        clean, noisy = register(clean, noisy)
        height, width, _ = clean.shape
    if min(height, width) < min_side:
        reason = f"{width}x{height} pixels; expected sides of at least data.min_side = {min_side}"
        return Rejection(source, "too small", reason)
    path, noisy_path = _targets(folder, source)
    sha256 = _write_png(path, clean)
    noisy_sha256 = "" if noisy is None else _write_png(noisy_path, noisy)
    return Converted(source, sha256, clean.shape, look, noisy_sha256)


def _write_png(path: Path, pixels: Pixels) -> str:
    png = encode_png(pixels)
    write_bytes(path, png)
    return sha256_bytes(png)


def _targets(folder: Path, source: Source) -> tuple[Path, Path]:
    """Where the image goes, and the noisy one of a pair."""
    name = f"{source.name}.png"
    return folder / source.split / name, noisy_folder(folder, source.split) / name


def _duplicates(images: Sequence[Converted]) -> Iterator[Rejection]:
    """Find those to leave out: test images come before validation images, and those before training."""
    first: dict[str, Source] = {}
    held_out: list[Converted] = []
    bar = tqdm(total=len(images), desc="duplicates", delay=3, disable=None, leave=False)
    for split in reversed(SPLITS):
        unlike: list[Converted] = []
        album = Album([image.appearance for image in held_out])
        for image in (image for image in images if image.source.split == split):
            bar.update()
            twin = first.setdefault(image.appearance.pixels_sha256, image.source)
            like = album.original(image.appearance)
            if twin is not image.source:
                original = twin if twin.split != split else None
                reason = f"duplicate of {twin.split}/{twin.name}"
                yield Rejection(image.source, "duplicates", reason, original)
            elif like is not None:
                other = held_out[like[0]].source
                reason = f"{like[1]} {other.split}/{other.name}, which would leak into {split}"
                yield Rejection(image.source, "near-duplicates of another split", reason, other)
            else:
                unlike.append(image)
        held_out += unlike
    bar.close()


def _warn_of_leaks(copies: Sequence[Rejection]) -> None:
    """Say loudly that a set held images of another split."""
    leaks = [(copy, copy.original) for copy in copies if copy.original]
    counts = Counter((copy.source.split, copy.source.set, other.split, other.set) for copy, other in leaks)
    for (split, name, other_split, other_name), count in counts.items():
        logger.warning(
            "WARNING: data.%s: %s holds scenes of data.%s: %s, whole or in part; %d images were left out. "
            "See data/raw/rejected.csv, and think whether the two sets should be mixed at all.",
            *(split, name, other_split, other_name, count),
        )


def _manifest_row(image: Converted) -> dict[str, object]:
    height, width, channels = image.shape
    source = image.source
    size = (width, height, channels)
    values = (source.name, source.split, source.set, image.sha256, *size, image.noisy_sha256)
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

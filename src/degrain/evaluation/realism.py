"""How much restored images look like photographs: every measure that needs more than PSNR and SSIM do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from degrain.errors import DataError
from degrain.features import Backbone
from degrain.files import find_images, read_image
from degrain.metrics.deep import deep_distances
from degrain.metrics.fidelity import psnr
from degrain.metrics.gradient import gmsd
from degrain.metrics.spectrum import spectrum_distance
from degrain.metrics.structure import ms_ssim
from degrain.metrics.two_sample import PATCH_PX, two_sample_accuracy

Image = NDArray[np.float32]
PairMeasure = Callable[..., float]
Values = dict[str, float]

# Of (restored, clean, *, data_range); the report has their means over the images.
PAIR_MEASURES: dict[str, PairMeasure] = {
    "psnr": psnr,
    "ms_ssim": ms_ssim,
    "gmsd": gmsd,
    "spectrum_distance": spectrum_distance,
}


def measure_realism(
    restored: Sequence[Image],
    clean: Sequence[Image],
    *,
    judge: Backbone | None,
    lpips: PairMeasure | None = None,
    seed: int = 0,
) -> Values:
    """Every measure of restored images against the clean ones, by name, to 4 digits.

    Parameters
    ----------
    restored, clean : as many images in [0, 1], each pair (H, W, C) of one shape, at least 32 pixels high and
        wide; all of one C.
    judge : `load_backbone("judge")`; without it there are no deep distances.
    lpips : `degrain.metrics.lpips.Lpips()`, if LPIPS is wanted.
    seed : of the two-sample test, which is left out where there is but one image.
    """
    pairs = list(zip(restored, clean, strict=True))
    values: Values = {}
    for name, measure in (PAIR_MEASURES | ({"lpips": lpips} if lpips else {})).items():
        values[name] = float(np.mean([measure(*pair, data_range=1.0) for pair in pairs]))
    if judge:
        values |= deep_distances(restored, clean, data_range=1.0, judge=judge)._asdict()
    if len(pairs) > 1:
        values["two_sample_accuracy"] = two_sample_accuracy(restored, clean, data_range=1.0, seed=seed)
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def read_pairs(restored: Path, clean: Path) -> tuple[list[Image], list[Image]]:
    """Read the images of a folder and their clean ones, which have the same names but for the suffix.

    Raises
    ------
    DataError : a folder without images, an image without a clean one or that does not fit it, or grey images
        beside coloured ones.
    """
    folders = {folder: find_images(folder) for folder in (restored, clean)}
    for folder, found in folders.items():
        if not found:
            msg = f"{folder}: no images there; expected a folder with png, jpg, tif or webp files"
            raise DataError(msg)
    by_name = {_name(path, clean): path for path in folders[clean]}
    pairs = []
    for path in folders[restored]:
        name = _name(path, restored)
        if name not in by_name:
            msg = f"{path}: no clean image for it; expected {clean / name} with any suffix"
            raise DataError(msg)
        pairs.append(_fitting(path, by_name[name]))
        if len({clean.shape[2] for _, clean in (pairs[0], pairs[-1])}) > 1:
            msg = (
                f"{folders[restored][0]}, {path}: one is grey, the other in colour; expected all of one kind"
            )
            raise DataError(msg)
    ones, others = zip(*pairs, strict=True)
    return list(ones), list(others)


def _name(path: Path, folder: Path) -> Path:
    return path.relative_to(folder).with_suffix("")


def _fitting(path: Path, clean: Path) -> tuple[Image, Image]:
    pair = read_image(path), read_image(clean)
    shapes = [image.shape for image in pair]
    if shapes[0] != shapes[1] or min(shapes[1][:2]) < PATCH_PX:
        msg = (
            f"{path}: {shapes[0]}, {clean}: {shapes[1]}; expected one (height, width, channels), "
            f"at least {PATCH_PX} pixels high and wide"
        )
        raise DataError(msg)
    return pair

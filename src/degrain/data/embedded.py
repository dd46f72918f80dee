"""The set `embedded`: photographs that ship inside packages we depend on anyway.

Split by scene, so that no scene is both trained and tested on. The packages are found but not
imported, which would take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from degrain.errors import DataError

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Photograph:
    """One photograph inside a package.

    Attributes
    ----------
    name : what we call it.
    package, path : where it is; the path is relative to the package's folder.
    split : what it is for.
    scene : what it shows; photographs of one scene stay in one split.
    grey_only : whether it has no colours, so that only grey data sets take it.
    """

    name: str
    package: str
    path: str
    split: Split
    scene: str
    grey_only: bool = False


SKIMAGE, SKLEARN, MATPLOTLIB = "skimage", "sklearn", "matplotlib"

PHOTOGRAPHS = (
    Photograph("coffee", SKIMAGE, "data/coffee.png", "train", "cup of coffee"),
    Photograph("rocket", SKIMAGE, "data/rocket.jpg", "train", "rocket on its pad"),
    Photograph("motorcycle_left", SKIMAGE, "data/motorcycle_left.png", "train", "motorcycle"),
    Photograph("motorcycle_right", SKIMAGE, "data/motorcycle_right.png", "train", "motorcycle"),
    Photograph("retina", SKIMAGE, "data/retina.jpg", "train", "retina"),
    Photograph("hubble_deep_field", SKIMAGE, "data/hubble_deep_field.jpg", "train", "galaxies"),
    Photograph("ihc", SKIMAGE, "data/ihc.png", "train", "stained tissue"),
    Photograph("grace_hopper", MATPLOTLIB, "mpl-data/sample_data/grace_hopper.jpg", "train", "admiral"),
    Photograph("brick", SKIMAGE, "data/brick.png", "train", "brick wall", grey_only=True),
    Photograph("grass", SKIMAGE, "data/grass.png", "train", "grass", grey_only=True),
    Photograph("gravel", SKIMAGE, "data/gravel.png", "train", "gravel", grey_only=True),
    Photograph("coins", SKIMAGE, "data/coins.png", "train", "coins from Pompeii", grey_only=True),
    Photograph("moon", SKIMAGE, "data/moon.png", "train", "surface of the moon", grey_only=True),
    Photograph("cell", SKIMAGE, "data/cell.png", "train", "cell under a microscope", grey_only=True),
    Photograph("flower", SKLEARN, "datasets/images/flower.jpg", "val", "flower"),
    Photograph("astronaut", SKIMAGE, "data/astronaut.png", "test", "Eileen Collins"),
    Photograph("chelsea", SKIMAGE, "data/chelsea.png", "test", "cat"),
    Photograph("china", SKLEARN, "datasets/images/china.jpg", "test", "temple in China"),
    Photograph("camera", SKIMAGE, "data/camera.png", "test", "cameraman", grey_only=True),
)


def photographs(split: str, channels: int) -> list[Photograph]:
    """The photographs of one split, in the table's order; grey sets have those in colour too."""
    return [
        photograph
        for photograph in PHOTOGRAPHS
        if photograph.split == split and (channels == 1 or not photograph.grey_only)
    ]


def locate(package: str, path: str) -> Path:
    """Find a file inside an installed package without importing it.

    Raises
    ------
    DataError : if the package is not installed or ships the file no longer.
    """
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (file := Path(folder, path)).is_file():
            return file
    msg = f"embedded: {path} not found in the package {package}; install the versions in requirements.lock"
    raise DataError(msg)

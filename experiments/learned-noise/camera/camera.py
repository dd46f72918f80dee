"""Photograph the clean scenes with a made-up camera, whose noise is therefore known."""

from pathlib import Path
from shutil import copyfile

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from degrain.files import read_image, write_image
from degrain.noise import Correlated
from degrain.params import Params
from degrain.seeding import seeded_generator
from degrain.stages._main import run

SCENES, PHOTOGRAPHS = Path("../data/raw"), Path("data/raw")
# Standard deviation of the noise where the scene is black and where it is white, in units of 255.
DARK_255, BRIGHT_255 = 4.0, 16.0
BLUR_PX = 0.7  # of its grain
SHARED = 0.8  # of a channel's noise, the same in all: the square of it is how alike channels are


def main(params: Params) -> None:
    """Every clean scene of every split, and its noisy photograph rounded to 8 bits."""
    for scene in tqdm(sorted(SCENES.glob("*/*.png")), desc="photographs", unit="image", delay=3):
        split = scene.parent.name
        if not split.endswith("_noisy"):
            for name in (split, f"{split}_noisy"):
                (PHOTOGRAPHS / name).mkdir(parents=True, exist_ok=True)
            copyfile(scene, PHOTOGRAPHS / split / scene.name)
            noisy = photograph(read_image(scene), params.seed, scene.stem)
            write_image(PHOTOGRAPHS / f"{split}_noisy" / scene.name, noisy)
    copyfile(SCENES / "manifest.csv", PHOTOGRAPHS / "manifest.csv")


def photograph(clean: NDArray[np.float32], *seeds: int | str) -> NDArray[np.float32]:
    """The noisy photograph of a scene (H, W, C), clipped to [0, 1]."""
    scene = torch.from_numpy(clean.transpose(2, 0, 1).copy())[None]
    sigma = (DARK_255 + (BRIGHT_255 - DARK_255) * scene) / 255
    generator = seeded_generator("camera", *seeds)
    shared, own = (grain(like, generator) for like in (scene[:, :1], scene))
    noisy = scene + sigma * (SHARED * shared + (1 - SHARED**2) ** 0.5 * own)
    return noisy[0].clamp(0, 1).numpy().transpose(1, 2, 0)


def grain(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Correlated noise of variance 1 in the shape of (1, C, H, W)."""
    level = torch.full((1,), 255.0)
    return Correlated(BLUR_PX)(torch.zeros_like(like), level, generator=generator)


if __name__ == "__main__":
    run(main)

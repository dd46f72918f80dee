"""Blocks of noise from the noisy photographs of the training set."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from degrain.errors import DataError
from degrain.files import read_image
from degrain.noise.blocks import NoiseBlocks, SmoothRule, joined, noise_blocks

FEWEST = 200


def collect_blocks(raw: Path, rule: SmoothRule, *, most_per_image: int) -> NoiseBlocks:
    """Blocks of all noisy training images, no clean one looked at.

    Of a set of pairs they are the noisy halves, `train_noisy`; otherwise the images of `train` themselves,
    which are then taken for noisy ones.

    Raises
    ------
    DataError : there are too few to learn from.
    """
    paths = sorted((raw / "train_noisy").glob("*.png")) or sorted((raw / "train").glob("*.png"))
    blocks = joined(
        [
            noise_blocks(read_image(path), rule, most=most_per_image)
            for path in tqdm(paths, desc="smooth blocks", unit="image", delay=3)
        ]
    )
    if len(blocks) < FEWEST:
        msg = (
            f"{len(blocks)} smooth blocks of noise in {len(paths)} images; expected at least {FEWEST}. Take "
            "more images (data.train), larger tolerances or smaller blocks (noise_model.blocks)"
        )
        raise DataError(msg)
    return blocks

"""Blocks of noise from the noisy photographs of the training set."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from degrain.errors import DataError
from degrain.files import read_image
from degrain.noise.blocks import NoiseBlocks, SmoothRule, joined, noise_blocks

FEWEST = 200


def collect_blocks(raw: Path, rule: SmoothRule, *, most_per_image: int, split: str = "train") -> NoiseBlocks:
    """Blocks of all noisy images of a split, no clean one looked at.

    Of a set of pairs they are the noisy halves, such as `train_noisy`; otherwise the images of the split
    themselves, which are then taken for noisy ones.

    Raises
    ------
    DataError : there are too few to learn from, or pairs and single images stand side by side.
    """
    paths = _noisy(raw, split)
    parts = [
        noise_blocks(read_image(path), rule, most=most_per_image)
        for path in tqdm(paths, desc="smooth blocks", unit="image", delay=3)
    ]
    count = sum(map(len, parts))
    if count < FEWEST:
        msg = (
            f"{count} smooth blocks of noise in {len(paths)} images; expected at least {FEWEST}. Take "
            f"more images (data.{split}), or larger tolerances or most_coherence (noise_model.blocks)"
        )
        raise DataError(msg)
    return joined(parts)


def _noisy(raw: Path, split: str) -> list[Path]:
    halves, single = (sorted((raw / name).glob("*.png")) for name in (f"{split}_noisy", split))
    in_pairs = {path.name for path in halves}
    alone = [path for path in single if path.name not in in_pairs]
    if halves and alone:
        msg = (
            f"{alone[0]}: not one of a pair, as {halves[0]} is; expected only pairs or only noisy "
            f"photographs in data.{split}, for beside pairs a single image is a clean one"
        )
        raise DataError(msg)
    return halves or single

"""Tiny made-up sets in the files of the MNIST kind, and params for them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from degrain.generation.labelled import SPLITS, file_names
from degrain.generation_params import GenerationParams
from degrain.params import parse_as
from support import ROOT, merged

EXPERIMENT = ROOT / "experiments/generation"
LEARNING = {"steps": 4, "batch_size": 8, "warmup_steps": 1, "look_every": 2, "ema_half_life_images": 50}
TINY = {
    "compute": {"device": "cpu", "precision": "float32", "threads": 1},
    "classifier": LEARNING | {"width": 4, "features": 8, "held_out": 40},
    "dcgan": LEARNING | {"z_length": 4, "width": 2, "critic_width": 2, "shown": 10},
    "evaluate": {"images": 30, "blur_px": [1], "noise_255": [50]},
    "semi_supervised": LEARNING
    | {"draws": 2, "labels_per_class": 2, "width": 4, "features": 8, "z_length": 4, "generator_width": 2},
}


def tiny_params(changes: dict[str, Any] | None = None) -> GenerationParams:
    """The params of the experiment, small, with changes."""
    values = yaml.safe_load((EXPERIMENT / "params.yaml").read_text(encoding="utf-8"))
    return parse_as(GenerationParams, merged(merged(values, TINY), changes or {}))


def bars(count: int, seed: int = 0, side: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Images of three kinds, an upright bar, a level one and a square somewhere; and which they are."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = random.integers(0, 30, (count, side, side))
    for image, label in zip(images, labels, strict=True):
        y, x = random.integers(2, side - 7, 2)
        height, width = ((9, 3), (3, 9), (6, 6))[label]
        image[y : y + height, x : x + width] += 180
    return images.astype(np.uint8), labels.astype(np.uint8)


def idx_images(images: np.ndarray) -> bytes:
    """As the MNIST kind of file holds them."""
    return gzip.compress(struct.pack(">IIII", 0x803, *images.shape) + images.tobytes(), mtime=0)


def idx_labels(labels: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(">II", 0x801, len(labels)) + labels.tobytes(), mtime=0)


def write_set(folder: Path, *, train: int = 240, test: int = 60, side: int = 16) -> Path:
    """Four files in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (split, count) in enumerate(zip(SPLITS, (train, test), strict=True)):
        images, labels = bars(count, seed, side)
        for name, data in zip(file_names(split), (idx_images(images), idx_labels(labels)), strict=True):
            (folder / name).write_bytes(data)
    return folder

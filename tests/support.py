"""What tests share and pytest does not hand out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Small enough to train in a test.
SMALL = {
    "compute": {"device": "cpu", "precision": "float32", "threads": 1},
    "model": {
        "unet": {"widths": [8, 16], "blocks": [1, 2], "stem_stride": 1, "equivariant": False},
        "dncnn": {"depth": 3, "width": 8},
    },
    "pretrain": {
        "start": "none",
        "steps": 6,
        "batch_size": 2,
        "patch_size": 32,
        "warmup_steps": 1,
        "validate_every": 3,
    },
    "train": {
        "steps": 6,
        "batch_size": 2,
        "patch_size": 32,
        "warmup_steps": 1,
        "validate_every": 3,
        "discriminator": {"width": 4},
    },
    "validation": {"images": 1, "crop_px": 32},
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with nested changes."""
    out = dict(base)
    for key, value in changes.items():
        out[key] = merged(base.get(key, {}), value) if isinstance(value, dict) else value
    return out

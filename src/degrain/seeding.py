"""Random generators whose seed follows from what they are for."""

from __future__ import annotations

import hashlib
import json

import torch


def seeded_generator(*parts: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a generator seeded by `parts`, such as a seed, an image's name and a level.

    The same parts give the same generator in any process, on any day and in any order of work;
    parts that differ in value, type or place give another one.

    Parameters
    ----------
    parts : what the numbers are for; 1 and "1" differ.
    device : where the generator draws; other devices draw other numbers.
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "little"))

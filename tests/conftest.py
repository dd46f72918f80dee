"""What many tests need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from skimage.data import coffee

from degrain.params import Params, parse_params
from support import ROOT, SMALL, merged


@pytest.fixture(scope="session")
def default_values() -> dict[str, Any]:
    """params.yaml as it stands."""
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def make_params(default_values: dict[str, Any]) -> Callable[..., Params]:
    """Small params with changes."""

    def make(changes: dict[str, Any] | None = None) -> Params:
        return parse_params(merged(merged(default_values, SMALL), changes or {}))

    return make


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def cut_into(monkeypatch) -> Callable[[int], None]:
    """Makes tiles so small, and none see more than they must: otherwise small images would be seen whole."""

    def cut(tile_px: int) -> None:
        monkeypatch.setattr("degrain.tiles.TILE_PX", tile_px)
        monkeypatch.setattr("degrain.tiles.QUICK_PX", 1)

    return cut


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A photograph (128, 160, 3) in [0, 1]."""
    return (coffee()[120:248, 200:360] / 255).astype(np.float32)

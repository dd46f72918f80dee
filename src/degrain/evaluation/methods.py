"""The methods that are compared, ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from degrain.baselines import BASELINES, fitted
from degrain.data.noisy import Image, NoisySet
from degrain.metrics import psnr, to_8_bit

Method = Callable[[Image, float], Image]


def methods_by_level(val: NoisySet, networks: Mapping[str, Method]) -> dict[str, dict[str, Method]]:
    """Every method at every level: the noisy image, the classical filters, the networks.

    The filters that take a size get their best one at each level on the validation set.
    """
    pairs: dict[str, list[tuple[Image, Image]]] = {level: [] for level in val.levels}
    for pair in val:
        pairs[pair.level].append((pair.noisy, pair.clean))
    return {
        level: {
            "noisy": _unchanged,
            **{name: fitted(name, shown, _score) for name in BASELINES},
            **networks,
        }
        for level, shown in pairs.items()
    }


def _unchanged(noisy: Image, sigma: float) -> Image:
    del sigma
    return noisy


def _score(restored: Image, clean: Image) -> float:
    return psnr(to_8_bit(restored), clean, data_range=1.0)

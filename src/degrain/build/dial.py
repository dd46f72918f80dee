"""From the most faithful restoration to the most realistic one, by interpolating two networks."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from degrain.build.generator import load_generator, read_description
from degrain.errors import DegrainError


def load_between(faithful: Path, realistic: Path, dial: float) -> tuple[nn.Module, int]:
    """The network between two end points of one training, and the channels of its images.

    Between a network and a stochastic one, the noise z has the less effect the more faithful it is.

    Parameters
    ----------
    faithful, realistic : files of generators; the second was trained on from the first.
    dial : in [0, 1], the share of the realistic weights.

    Raises
    ------
    DegrainError : a file holds no generator, the two are different networks, or the dial is out of range.

    Source: Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", 2018,
    section 3.4, network interpolation.
    """
    if not 0 <= dial <= 1:
        msg = f"dial = {dial}; expected a number from 0 (most faithful) to 1 (most realistic)"
        raise DegrainError(msg)
    (one, its_channels), (another, channels) = read_description(faithful), read_description(realistic)
    if (one.in_use, its_channels) != (another.in_use, channels):
        msg = f"{faithful}, {realistic}: expected two end points of one network; they are different networks"
        raise DegrainError(msg)
    if one.stochastic and not another.stochastic:
        msg = (
            f"{faithful}, {realistic}: the first takes noise z and the second does not; expected the reverse"
        )
        raise DegrainError(msg)
    network, _ = load_generator(faithful, stochastic=another.stochastic)
    mine, theirs = network.state_dict(), load_generator(realistic)[0].state_dict()
    network.load_state_dict({name: _between(mine[name], theirs[name], dial) for name in mine})
    return network, channels


def _between(one: Tensor, other: Tensor, dial: float) -> Tensor:
    """Weights and statistics are interpolated; what counts batches is not."""
    return torch.lerp(one, other, dial) if one.is_floating_point() else other

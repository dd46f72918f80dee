"""Images out of a generator, always the same from the same seed."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from degrain.compute import Engine
from degrain.seeding import seeded_generator

AT_ONCE = 500
CALIBRATION_BATCHES, CALIBRATION_IMAGES = 8, 250


def noise_vectors(count: int, network: nn.Module, *parts: str | int) -> Tensor:
    """Vectors z (count, z_length) for a generator, always the same of the same parts."""
    numbers: int = network.z_length  # type: ignore[assignment]
    return torch.randn(count, numbers, generator=seeded_generator(*parts))


@torch.inference_mode()
def make_images(network: nn.Module, z: Tensor, engine: Engine) -> Tensor:
    """Images of z (N, z_length) as bytes (N, C, S, S)."""
    parts = []
    for part in torch.split(z, AT_ONCE):
        with engine.autocast():
            images = network(engine.send(part))
        parts.append((images * 255).round().to(torch.uint8).cpu())
    return torch.cat(parts)


@torch.no_grad()
def calibrated(network: nn.Module, engine: Engine, *, seed: int) -> nn.Module:
    """A copy, not in training, whose batch normalisation has the statistics of its own weights.

    Averaged weights go with those of no step: the ones that the average has copied are the last step's.
    """
    copied = copy.deepcopy(network).train()
    for layer in copied.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean over all batches
    for number in range(CALIBRATION_BATCHES):
        z = noise_vectors(CALIBRATION_IMAGES, copied, seed, "calibration", number)
        with engine.autocast():
            copied(engine.send(z))
    return copied.eval()

"""What a network's convolutions cost, counted on a run of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Convolution = tuple[nn.Module, tuple[int, ...]]


def convolutions(network: nn.Module, noisy: Tensor, sigma: Tensor) -> list[Convolution]:
    """Every convolution with the shape of its input, in the order they run on noisy (B, C, H, W)."""
    found: list[Convolution] = []
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [
        layer.register_forward_hook(lambda layer, given, _: found.append((layer, tuple(given[0].shape))))
        for layer in layers
    ]
    with torch.no_grad():
        network(noisy, sigma)
    for hook in hooks:
        hook.remove()
    return found


def macs(found: list[Convolution]) -> float:
    """Multiplications with additions of one forward pass."""
    return sum(_macs(*convolution) for convolution in found)


def _macs(layer: nn.Module, shape: tuple[int, ...]) -> float:
    batch, _, height, width = shape
    positions = batch * height * width
    if isinstance(layer, nn.Conv2d):
        positions //= layer.stride[0] * layer.stride[1]
    return float(positions * layer.weight.numel())  # type: ignore[union-attr,operator]

"""Convolutions that turn with the image: the eight symmetries of a square share their weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from degrain.turns import TURNS, Turn

# Which axes of a convolution's weights are in eights, of its first two.
Axes = tuple[bool, bool]
IntArray = NDArray[np.int64]


def make_equivariant(network: nn.Module) -> None:
    """Make a network restore a turned or mirrored image to the turned or mirrored restoration.

    Its hidden channels come in eights, one for each symmetry: turning the image turns each of them and swaps
    their places. So weights that a turn carries into each other are equal, one of eight is free, and training
    learns from all eight turns of an image at once. It is the same network otherwise, at the same speed.

    Parameters
    ----------
    network : whose convolutions are in the order of its data, without biases and with square kernels; the
        first takes images, the last makes them, and all channels between are in eights.

    Source: Cohen and Welling, "Group Equivariant Convolutional Networks", 2016.
    """
    with torch.no_grad():
        for weight, axes in _weights(network):
            members, orbit = _orbits(tuple(weight.shape), axes, weight.device)
            blocks = _blocks(weight, axes)
            _fill(weight, blocks[:, members[0]][:, orbit])
    keep_equivariant(network)


def keep_equivariant(network: nn.Module) -> None:
    """Average every gradient over the weights that are to stay equal, as soon as it is there.

    Whoever updates equal weights with equal gradients alike keeps them equal, up to rounding: Adam does, and
    so does Muon, for turning permutes the rows and the columns of a layer's matrix. A copy of a network that
    is to be trained needs it anew.
    """
    for weight, axes in _weights(network):
        if not weight.requires_grad:
            continue
        average = partial(_average, axes=axes)
        weight.register_post_accumulate_grad_hook(average)  # type: ignore[no-untyped-call]


@torch.no_grad()
def _average(weight: Tensor, *, axes: Axes) -> None:
    """In place, and without a copy where the gradient is in memory as `_blocks` has it: it mostly is."""
    assert weight.grad is not None
    members, orbit = _orbits(tuple(weight.shape), axes, weight.device)
    blocks = _blocks(weight.grad, axes)
    means = blocks.index_select(1, members.flatten()).view(len(blocks), *members.shape).mean(1)
    torch.index_select(means, 1, orbit, out=blocks)
    if blocks.data_ptr() != weight.grad.data_ptr():
        _fill(weight.grad, blocks)


def _blocks(weight: Tensor, axes: Axes) -> Tensor:
    """Weights (A, B, K, K) as (A / 8, 8 K K B), or (1, A K K B) if the first axis is not in eights.

    No turn carries a weight from one block to another, and it does the same in each. A block is so small
    that the places of `_orbits` stay in the processor's cache.
    """
    count = weight.shape[0] // len(TURNS) if axes[0] else 1
    return weight.permute(0, 2, 3, 1).reshape(count, -1)


def _fill(weight: Tensor, blocks: Tensor) -> None:
    """Put what `_blocks` gave back into weights (A, B, K, K)."""
    weight.copy_(blocks.view(weight.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2))


def _weights(network: nn.Module) -> Iterator[tuple[Tensor, Axes]]:
    """The weights of all convolutions, and which axes of them are in eights: all but those of the image."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    convolutions = [layer for layer in network.modules() if isinstance(layer, kinds)]
    for layer in convolutions:
        inputs, outputs = layer is not convolutions[0], layer is not convolutions[-1]
        transposed = isinstance(layer, nn.ConvTranspose2d)
        yield layer.weight, (inputs, outputs) if transposed else (outputs, inputs)


@lru_cache(maxsize=64)
def _orbits(shape: tuple[int, ...], axes: Axes, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which of the N weights of a block, see `_blocks`, the turns carry into each other.

    Returns
    -------
    members (8, N / 8) : places of those that do. orbit (N,) : in which column of members each place is.
    """
    first, second, side, _ = shape
    first = len(TURNS) if axes[0] else first
    places = np.arange(first * side * side * second).reshape(first, side, side, second)
    carried = np.stack([_carried(places, turn, axes).ravel() for turn in TURNS])
    members = carried[:, carried.min(0) == places.ravel()]
    orbit = np.empty(places.size, np.int32)
    orbit[members] = np.arange(members.shape[1])
    return torch.from_numpy(members.astype(np.int32)).to(device), torch.from_numpy(orbit).to(device)


def _carried(weights: IntArray, turn: Turn, axes: Axes) -> IntArray:
    """Weights (A, K, K, B), each replaced by the one that a turn carries to its place."""
    first, second = (
        _places_after(turn, length) if grouped else np.arange(length)
        for length, grouped in zip((weights.shape[0], weights.shape[-1]), axes, strict=True)
    )
    kernels = weights[first][..., second].transpose(1, 2, 0, 3)
    return turn.undo(kernels).transpose(2, 0, 1, 3)


def _places_after(turn: Turn, channels: int) -> IntArray:
    """Where each of the channels, in eights in the order of `TURNS`, is after a turn."""
    square = np.arange(9).reshape(3, 3)
    turned = [one.apply(square).tolist() for one in TURNS]
    after = [turned.index(turn.apply(one.apply(square)).tolist()) for one in TURNS]
    return np.arange(channels).reshape(-1, len(TURNS))[:, after].ravel()

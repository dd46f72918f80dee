"""Whether a network can be taught to tell restored images from real ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from degrain.metrics.fidelity import check_shapes
from degrain.seeding import seeded_generator

PATCH_PX = 32
# Of one image at most, spread over it.
MOST_PATCHES = 200
MOST_FOLDS = 5
WIDTHS_STRIDES = ((16, 1), (32, 2), (32, 2))
STEPS, BATCH_PAIRS, LR = 300, 16, 3e-3
# What differs is fine and faint: the network gets it so many times as strong.
FINE_GAIN = 10.0


def two_sample_accuracy(
    restored: Sequence[NDArray[np.floating]],
    clean: Sequence[NDArray[np.floating]],
    *,
    data_range: float,
    seed: int,
    steps: int = STEPS,
) -> float:
    """Share of patches of scenes it has not seen that a fresh network, taught to, tells restored from real.

    Cross-validated: the scenes in up to 5 parts, each judged by a network that has learned from the others.

    Parameters
    ----------
    restored, clean : as many images, two scenes at least, each pair (H, W, C) of one shape, at least 32
        pixels high and wide; all of one C.
    data_range : white minus black.
    seed : of the networks and their batches.
    steps : of Adam on 16 pairs of patches, for each network.

    Returns
    -------
    0.5, no better than guessing and so perfect in the finest detail, to 1; exactly 0.5 for identical images.
    Chance can carry it below. Brightness and tint are not seen, wide blotches hardly.

    Source: Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", 2017.
    """
    pairs = [_patches(*pair, data_range) for pair in zip(restored, clean, strict=True)]
    if len(pairs) < 2:
        msg = f"{len(pairs)} scene; the two-sample test needs 2 at least, one to learn from and one to judge"
        raise ValueError(msg)
    folds = min(MOST_FOLDS, len(pairs))
    right, total = 0, 0
    for fold in range(folds):
        known = torch.cat([pair for scene, pair in enumerate(pairs) if scene % folds != fold])
        held_out = torch.cat(pairs[fold::folds])
        network = _taught(known, steps, generator=seeded_generator(seed, "two-sample test", fold))
        right += _right(network, held_out)
        total += 2 * len(held_out)
    return right / total


def _patches(restored: NDArray[np.floating], clean: NDArray[np.floating], data_range: float) -> Tensor:
    """Patches of one scene: (N, 2, C, 32, 32), restored before clean, about -1 to 1."""
    check_shapes(restored, clean)
    height, width, channels = clean.shape
    if min(height, width) < PATCH_PX:
        msg = (
            f"image of {width} x {height} pixels; the two-sample test needs at least {PATCH_PX} x {PATCH_PX}"
        )
        raise ValueError(msg)
    both = np.stack([restored, clean]).astype(np.float32) * (2 / data_range) - 1
    down, across = height // PATCH_PX, width // PATCH_PX
    grid = both[:, : down * PATCH_PX, : across * PATCH_PX].reshape(
        2, down, PATCH_PX, across, PATCH_PX, channels
    )
    patches = grid.transpose(1, 3, 0, 5, 2, 4).reshape(-1, 2, channels, PATCH_PX, PATCH_PX)
    chosen = np.linspace(0, len(patches) - 1, min(MOST_PATCHES, len(patches))).round().astype(int)
    return torch.from_numpy(np.ascontiguousarray(patches[chosen]))


def _taught(pairs: Tensor, steps: int, *, generator: torch.Generator) -> nn.Module:
    """A network that gives restored patches negative scores and real ones positive, as far as it can."""
    network = _network(pairs.shape[2], generator)
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = _turned(pairs[torch.randint(len(pairs), (BATCH_PAIRS,), generator=generator)], generator)
        scores = network(batch.flatten(0, 1)).view(-1, 2)
        loss = F.softplus(scores * scores.new_tensor([1.0, -1.0])).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval()


def _network(channels: int, generator: torch.Generator) -> nn.Module:
    """Untrained: patches (B, C, H, W) to scores (B, 1)."""
    layers: list[nn.Module] = [_Fine()]
    for width, stride in WIDTHS_STRIDES:
        layers += [
            nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels = width
    network = nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1, bias=False)
    )
    for weight in network.parameters():
        if weight.ndim > 1:  # the others start at 0 and 1
            nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
    return network


class _Fine(nn.Module):
    """How far each pixel is from the mean of the 3x3 around it."""

    def forward(self, images: Tensor) -> Tensor:
        around = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
        return FINE_GAIN * (images - around)


def _turned(batch: Tensor, generator: torch.Generator) -> Tensor:
    """One of the eight symmetries, for the whole batch."""
    flips, turn = torch.randint(4, (2,), generator=generator).tolist()
    if flips % 2:
        batch = batch.transpose(-1, -2)
    return batch.rot90(turn, (-2, -1))


@torch.inference_mode()
def _right(network: nn.Module, pairs: Tensor) -> int:
    """How many of the patches (N, 2, C, H, W) get the right sign."""
    scores = torch.cat([network(part.flatten(0, 1)).view(-1, 2) for part in torch.split(pairs, 256)])
    return int((scores[:, 0] < 0).sum() + (scores[:, 1] >= 0).sum())

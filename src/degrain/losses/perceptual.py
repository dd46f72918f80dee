"""Distances in what a pretrained network sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from degrain.features import Backbone, feature_distance, require_role


@dataclass(frozen=True)
class Perceptual:
    """Distance in features, as the judge takes it: (B, C, H, W) in [0, 1] twice, to (B,).

    At least 17 pixels high and wide; the deepest layer sees further than a patch of 64.

    The samples of a batch are seen at different offsets to the grid of the backbone, whose first layer takes
    every second pixel, so that none is learned where a batch has four or more.

    Parameters
    ----------
    backbone : that of the loss, never the judge's.

    Source: Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", 2016;
    the distance is that of `feature_distance`.
    """

    backbone: Backbone

    def __post_init__(self) -> None:
        require_role(self.backbone, "loss")

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """One value a sample."""
        backbone = self.backbone.to(restored.device)
        with torch.no_grad():
            wanted = backbone(_shifted(clean))
        return feature_distance(backbone(_shifted(restored)), wanted)


def _shifted(images: Tensor) -> Tensor:
    """Images (B, C, H, W) without one row and column each, which differ by turns, to (B, C, H-1, W-1)."""
    height, width = (side - 1 for side in images.shape[2:])
    offsets = [(index % 2, index // 2 % 2) for index in range(len(images))]
    cut = [image[:, y : y + height, x : x + width] for image, (y, x) in zip(images, offsets, strict=True)]
    return torch.stack(cut)

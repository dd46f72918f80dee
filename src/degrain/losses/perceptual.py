"""Distances in what a pretrained network sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from degrain.features import Backbone, feature_distance, require_role


@dataclass(frozen=True)
class Perceptual:
    """Distance in features, as the judge takes it: (B, C, H, W) in [0, 1] twice, to (B,).

    At least 16 pixels high and wide; the deepest layer sees further than a patch of 64.

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
            wanted = backbone(clean)
        return feature_distance(backbone(restored), wanted)

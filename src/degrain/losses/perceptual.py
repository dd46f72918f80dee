"""Distances in what a pretrained network sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from degrain.features import Backbone, normalised, require_role
from degrain.losses.features import feature_matching


@dataclass(frozen=True)
class Perceptual:
    """L1 distance of channel-normalised features: (B, C, H, W) in [0, 1] twice, to (B,).

    The mean over channels and positions, then over the layers; at least 16 pixels high and wide.

    Parameters
    ----------
    backbone : that of the loss, never the judge's.

    Source: Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", 2016;
    features scaled to length 1 as in Zhang et al., "The Unreasonable Effectiveness of Deep Features as a
    Perceptual Metric", 2018.
    """

    backbone: Backbone

    def __post_init__(self) -> None:
        require_role(self.backbone, "loss")

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """One value a sample."""
        backbone = self.backbone.to(restored.device)
        with torch.no_grad():
            wanted = [normalised(layer) for layer in backbone(clean)]
        return feature_matching([normalised(layer) for layer in backbone(restored)], wanted)

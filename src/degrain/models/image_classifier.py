"""A small classifier of small images, which also says what it saw."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST_PX = 8


class Recognition(NamedTuple):
    """What a classifier says of a batch: logits (B, K), and the features (B, F) that they are linear in."""

    logits: Tensor
    features: Tensor


class ImageClassifier(nn.Module):
    """Two convolutions that halve the image, one more, and a dense layer of features.

    There is no normalisation over the batch: as the discriminator of a GAN it sees batches of real and of
    generated images, whose statistics would give them away.

    Parameters
    ----------
    channels : of the images; classes : to tell apart.
    side_px : of the images, at least 8. width : channels of the first layer, half of those that follow.
    features : of the dense layer.

    Attributes
    ----------
    sizes : the parameters by name, to build it again.
    """

    def __init__(self, channels: int, classes: int, *, side_px: int, width: int, features: int) -> None:
        super().__init__()
        if side_px < SMALLEST_PX:
            msg = f"side_px = {side_px}; this classifier takes images of at least {SMALLEST_PX} pixels"
            raise ValueError(msg)
        self.sizes = {"channels": channels, "classes": classes, "side_px": side_px, "width": width}
        self.sizes["features"] = features
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(channels, width, 4, stride=2, padding=1),
                nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
                nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            ]
        )
        self.dense = nn.Linear(2 * width * (side_px // 4) ** 2, features)
        self.score = nn.Linear(features, classes)

    def forward(self, image: Tensor) -> Recognition:
        """Images (B, channels, side_px, side_px) in [0, 1], or with noise somewhat beyond."""
        seen = 2 * image - 1
        for layer in self.convolutions:
            seen = F.leaky_relu(layer(seen), 0.2)
        features = F.leaky_relu(self.dense(seen.flatten(1)), 0.2)
        return Recognition(self.score(features), features)

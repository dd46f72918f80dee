"""What several networks are made of."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Convolution = TypeVar("Convolution", bound=nn.Conv2d | nn.ConvTranspose2d)

# How much stronger z is than the image's noise: weights that start at zero take hold in fewer steps.
Z_GAIN = 4.0


class ResidualBlock(nn.Module):
    """x + convolution(ReLU(convolution(x))), without biases; the identity at the start of training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second = start_at_zero(nn.Conv2d(width, width, 3, padding=1, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        # In place: no backward pass needs what is overwritten.
        change: Tensor = self.second(F.relu_(self.first(features)))
        return change.add_(features)


def start_at_zero(layer: Convolution) -> Convolution:
    """The same layer with weights and bias at zero, so that its branch starts without effect."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def with_batch_deviation(features: Tensor) -> Tensor:
    """Features (B, C, H, W) and, as one more channel, how much they differ over the batch: a single number.

    So a discriminator sees whether images are all alike. Source: Karras et al., "Progressive Growing of
    GANs for Improved Quality, Stability, and Variation", 2018.
    """
    batch, _, height, width = features.shape
    deviation = (features.float().var(0, unbiased=False) + 1e-8).sqrt().mean()
    return torch.cat([features, deviation.to(features.dtype).expand(batch, 1, height, width)], dim=1)


def with_level_map(image: Tensor, sigma: Tensor) -> Tensor:
    """The image (B, C, H, W) and a constant map of sigma (B,) as one more channel."""
    batch, _, height, width = image.shape
    level = sigma.to(image.dtype).view(batch, 1, 1, 1).expand(batch, 1, height, width)
    return torch.cat([image, level], dim=1)


def with_z(features: Tensor, sigma: Tensor, z: Tensor | None) -> Tensor:
    """Features (B, F, H, W) and, as further channels, noise z (B, C, H, W) times `Z_GAIN` * sigma (B,).

    So an image and its noise level scaled alike still give the result scaled alike, and an image without
    noise has one restoration.

    Raises
    ------
    ValueError : there is no z.
    """
    if z is None:
        msg = "z = None; expected standard normal noise of the shape of the image, for a stochastic network"
        raise ValueError(msg)
    return torch.cat([features, (z * Z_GAIN * sigma.view(-1, 1, 1, 1)).to(features.dtype)], dim=1)

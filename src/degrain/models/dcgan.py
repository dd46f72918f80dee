"""Images from nothing but a noise vector, and the critic that teaches it.

Source: Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", 2016.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Sides are halved while they are even and above this, channels doubled at most so many times.
COARSEST_PX, MOST_DOUBLINGS = 7, 3


class DcganGenerator(nn.Module):
    """A noise vector to an image, by transposed convolutions that double its side.

    Parameters
    ----------
    z_length : numbers of the noise vector that the whole image hangs on.
    channels : of the images.
    side_px : of the images, even: 28 grows from 7, 32 and 64 from 4.
    width : channels at full size; they double at each coarser scale, three times at most.
    grain : maps of further noise at each scale, which `z` then holds as well. What is random from pixel to
        pixel need not be made out of `z_length` numbers, and comes out alike wherever it is.

    Attributes
    ----------
    numbers : that a whole `z` has, those of the grain included.

    The last layers are convolutions at full size without bounds, where the source has a bounded transposed
    one: no pixel is made otherwise than its neighbour, and noise, which has no bounds, can be made.

    Source of the grain: Karras et al., "A Style-Based Generator Architecture for Generative Adversarial
    Networks", 2019, section 3.2.

    Raises
    ------
    ValueError : `side_px` cannot be halved.
    """

    def __init__(self, z_length: int, channels: int, *, side_px: int, width: int, grain: int = 0) -> None:
        super().__init__()
        widths, coarsest = _scales(side_px, width)
        widths.reverse()
        self.maps = [(grain, side, side) for side in (coarsest * 2**scale for scale in range(len(widths)))]
        self.parts = [z_length, *(math.prod(shape) for shape in self.maps)]
        self.numbers = sum(self.parts)
        self.first = _raised(nn.ConvTranspose2d(z_length, widths[0], coarsest, bias=False))
        self.layers = nn.ModuleList(
            _raised(nn.ConvTranspose2d(before + grain, after, 4, stride=2, padding=1, bias=False))
            for before, after in itertools.pairwise(widths)
        )
        self.layers.append(_raised(nn.Conv2d(width + grain, width, 3, padding=1, bias=False)))
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """z (B, numbers), normal, to images (B, channels, side_px, side_px), unbounded."""
        whole, *grain = torch.split(z, self.parts, dim=1)
        features = self.first(whole[:, :, None, None])
        for layer, values, shape in zip(self.layers, grain, self.maps, strict=True):
            features = layer(torch.cat([features, values.reshape(len(z), *shape)], dim=1))
        images: Tensor = self.last(features)
        return images


class DcganCritic(nn.Module):
    """One unbounded score for the whole image, from convolutions and a dense layer.

    Unlike `DcganDiscriminator` it sees the image as it is. That one amplifies detail sixteenfold, which suits
    restorations, for they differ from photographs in their detail alone; noise is detail throughout, and
    amplifying the fine part of it hides what coarse grain looks like. There is no normalisation over the
    batch, which a gradient penalty of each image by itself does not go with (Gulrajani et al., 2017).

    Parameters
    ----------
    channels : of the images that it sees.
    side_px, width : see `DcganGenerator`.
    """

    def __init__(self, channels: int, *, side_px: int, width: int) -> None:
        super().__init__()
        widths, coarsest = _scales(side_px, width)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1) for before, after in itertools.pairwise(widths)
        )
        self.score = nn.Linear(widths[-1] * coarsest**2, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, channels, side_px, side_px); logits (B, 1)."""
        features = F.leaky_relu(self.first(image), 0.2)
        for layer in self.layers:
            features = F.leaky_relu(layer(features), 0.2)
        logits: Tensor = self.score(features.flatten(1))
        return logits


def _scales(side_px: int, width: int) -> tuple[list[int], int]:
    """Channels from full size down to the coarsest scale, and its side."""
    widths = [width]
    while side_px % 2 == 0 and side_px > COARSEST_PX:
        side_px //= 2
        widths.append(width * 2 ** min(len(widths), MOST_DOUBLINGS))
    if len(widths) == 1:
        msg = f"side_px = {side_px}; expected an even number from {COARSEST_PX + 1} on, such as 28, 32 or 64"
        raise ValueError(msg)
    return widths, side_px


def _raised(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU())

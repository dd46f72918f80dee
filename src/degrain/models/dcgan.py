"""Images from nothing but a noise vector, and the critic that teaches it.

Source: Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", 2016.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional as F

# Sides are halved while they are even and above this, channels doubled at most so many times.
COARSEST_PX, MOST_DOUBLINGS = 7, 3


class DcganGenerator(nn.Module):
    """A noise vector to an image, by transposed convolutions that double its side.

    Parameters
    ----------
    z_length : numbers in a noise vector.
    channels : of the images.
    side_px : of the images, even: 28 grows from 7, 32 and 64 from 4.
    width : channels at full size; they double at each coarser scale, three times at most.

    The last layer is a convolution at full size without bounds, where the source has a bounded transposed
    one: no pixel is made otherwise than its neighbour, and noise, which has no bounds, can be made.

    Raises
    ------
    ValueError : `side_px` cannot be halved.
    """

    def __init__(self, z_length: int, channels: int, *, side_px: int, width: int) -> None:
        super().__init__()
        self.z_length, self.channels, self.side_px = z_length, channels, side_px
        widths, coarsest = _scales(side_px, width)
        widths.reverse()
        self.layers = nn.Sequential(
            *_raised(nn.ConvTranspose2d(z_length, widths[0], coarsest, bias=False)),
            *(
                part
                for before, after in itertools.pairwise(widths)
                for part in _raised(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False))
            ),
            nn.Conv2d(widths[-1], channels, 3, padding=1),
        )

    def forward(self, z: Tensor) -> Tensor:
        """z (B, z_length), normal, to images (B, channels, side_px, side_px), unbounded."""
        images: Tensor = self.layers(z[:, :, None, None])
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


def _raised(layer: nn.ConvTranspose2d) -> tuple[nn.Module, nn.Module, nn.Module]:
    return layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU()

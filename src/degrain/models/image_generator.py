"""Images of the real range out of a noise vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from degrain.models.dcgan import DcganGenerator


class ImageGenerator(nn.Module):
    """A `DcganGenerator` whose images lie in [0, 1].

    That one is unbounded, as noise is; of images many pixels are black or white, and a discriminator would
    know the generated ones by those that are not quite. The source has tanh for images in [-1, 1], which is
    the same.

    Parameters
    ----------
    z_length, channels, side_px, width : see `DcganGenerator`.

    Attributes
    ----------
    sizes : the parameters by name, to build it again.

    Source: Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks", 2016.
    """

    def __init__(self, z_length: int, channels: int, *, side_px: int, width: int) -> None:
        super().__init__()
        self.z_length = z_length
        self.sizes = {"z_length": z_length, "channels": channels, "side_px": side_px, "width": width}
        self.network = DcganGenerator(z_length, channels, side_px=side_px, width=width)

    def forward(self, z: Tensor) -> Tensor:
        """z (B, z_length), normal, to images (B, channels, side_px, side_px) in [0, 1], float32."""
        # In float32: near white, values of bfloat16 are as far apart as those of 8 bits.
        return torch.sigmoid(self.network(z).float())

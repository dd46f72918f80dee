"""DnCNN, for comparison, told the noise level as the other generators are."""

from __future__ import annotations

from torch import Tensor, nn

from degrain.models.layers import start_at_zero, with_level_map


class Dncnn(nn.Module):
    """A plain stack of convolutions that predicts the noise.

    Parameters
    ----------
    channels : of the image.
    depth : convolutions, the first and the last included; 17 as published.
    width : channels between them; 64 as published.

    Source: Zhang et al., "Beyond a Gaussian Denoiser", 2017. Added to it: the map of the noise
    level as an input channel, so that one network serves all levels.
    """

    stride = 1
    stochastic = False

    def __init__(self, channels: int, *, depth: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels + 1, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            # The normalisation has a bias of its own.
            convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
        layers.append(start_at_zero(nn.Conv2d(width, channels, 3, padding=1)))
        self.layers = nn.Sequential(*layers)
        self.reach_px = depth

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """noisy (B, C, H, W) of any size; sigma (B,) on the image's scale."""
        noise: Tensor = self.layers(with_level_map(noisy, sigma))
        return noisy - noise.to(noisy.dtype)

"""The default generator: a residual U-Net that is told the noise level."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from degrain.models.layers import ResidualBlock, start_at_zero, with_level_map, with_z
from degrain.models.symmetry import keep_equivariant, make_equivariant


class Unet(nn.Module):
    """Residual U-Net on the image and a map of its noise level.

    It predicts the noise, which is subtracted from its input; as the last layer starts at zero,
    an untrained network returns its input. No layer has a bias: an image and its noise level scaled
    alike give the result scaled alike.

    Parameters
    ----------
    channels : of the image.
    widths : channels at each scale, the finest first; each scale halves the image.
    blocks : residual blocks at each scale: on the way down and again on the way up; at the coarsest, in all.
    stem_stride : pixels from one output of the first convolution to the next: 2 makes the finest scale one of
        half size. What lies between is not lost: the convolution is as much wider.
    equivariant : an image turned or mirrored gives the result turned or mirrored; see `make_equivariant`.

    `made_stochastic` makes it take noise z as well, and give another restoration for each.

    Source: Ronneberger et al., "U-Net", 2015; residual blocks, additive skips and the level map
    as in Zhang et al., "Plug-and-Play Image Restoration with Deep Denoiser Prior", 2021; without
    biases as in Mohan et al., "Robust and Interpretable Blind Image Denoising via Bias-Free
    Convolutional Neural Networks", 2020; a finest scale of half size as in Zhang et al., "FFDNet", 2018.
    """

    def __init__(
        self,
        channels: int,
        *,
        widths: Sequence[int],
        blocks: Sequence[int],
        stem_stride: int = 1,
        equivariant: bool = False,
    ) -> None:
        super().__init__()
        self.stochastic, self.equivariant = False, equivariant
        self.stride = stem_stride * 2 ** (len(widths) - 1)
        self.reach_px = stem_stride * _reach(blocks)
        steps = list(pairwise(widths))
        self.head = nn.Conv2d(channels + 1, widths[0], **_stem(stem_stride))
        self.down = nn.ModuleList(map(_scale, widths[:-1], blocks))
        self.shrink = nn.ModuleList(
            nn.Conv2d(fine, coarse, 2, stride=2, bias=False) for fine, coarse in steps
        )
        self.bottom = _scale(widths[-1], blocks[-1])
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=False) for fine, coarse in steps
        )
        self.up = nn.ModuleList(map(_scale, widths[:-1], blocks))
        self.tail = start_at_zero(_tail(widths[0], channels, stem_stride))
        if equivariant:
            make_equivariant(self)

    def forward(self, noisy: Tensor, sigma: Tensor, z: Tensor | None = None) -> Tensor:
        """noisy (B, C, H, W) with H and W multiples of `stride`; sigma (B,) on the image's scale.

        z : standard normal, of the shape of noisy; stochastic networks need it, others take none.
        """
        given = with_level_map(noisy, sigma)
        features = self.head(with_z(given, sigma, z) if self.stochastic else given)
        skips = []
        for scale, shrink in zip(self.down, self.shrink, strict=True):
            features = scale(features)
            skips.append(features)
            features = shrink(features)
        features = self.bottom(features)
        for scale, grow, skip in zip(reversed(self.up), reversed(self.grow), reversed(skips), strict=True):
            features = scale(grow(features) + skip)
        noise: Tensor = self.tail(features)
        return noisy - noise.to(noisy.dtype)


def made_stochastic(network: nn.Module) -> Unet:
    """The same network with z as a further input, which at first, its weights being zero, changes nothing.

    Raises
    ------
    ValueError : it is no U-Net.
    """
    if not isinstance(network, Unet):
        msg = f"{type(network).__name__}; expected Unet, the only network that can take noise z"
        raise ValueError(msg)
    grown = copy.deepcopy(network)
    weight = network.head.weight
    blind = weight.new_zeros((weight.shape[0], network.tail.out_channels, *weight.shape[2:]))
    grown.head.weight = nn.Parameter(torch.cat([weight.detach(), blind], dim=1))
    grown.head.in_channels = grown.head.weight.shape[1]
    grown.stochastic = True
    if grown.equivariant:
        keep_equivariant(grown)  # what keeps it so is not copied
    return grown


def _tail(width: int, channels: int, stride: int) -> nn.Conv2d | nn.ConvTranspose2d:
    """The convolution back to the image."""
    kind = nn.Conv2d if stride == 1 else nn.ConvTranspose2d
    return kind(width, channels, **_stem(stride))


def _stem(stride: int) -> dict[str, Any]:
    """Settings of the convolutions from the image and back to it: all that a 3x3 at the finest scale sees."""
    return {"kernel_size": 3 * stride, "stride": stride, "padding": stride, "bias": False}


def _scale(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))


def _reach(blocks: Sequence[int]) -> int:
    """How far, in pixels, the input can lie from the output it changes, rounded up."""
    # Two convolutions a block, each one pixel of its scale; all but the coarsest blocks come twice.
    coarsest: int = 2 ** (len(blocks) - 1)
    finer: int = sum(4 * count * 2**scale for scale, count in enumerate(blocks[:-1]))
    return finer + 2 * blocks[-1] * coarsest + 2 + 2 * coarsest

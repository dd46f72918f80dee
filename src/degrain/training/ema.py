"""Averaged weights, which are what is evaluated and shipped."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Ema:
    """Exponential moving average of a network's weights; buffers are copied.

    Parameters
    ----------
    network : to follow.
    half_life_images : after so many training images, a weight's part in the average has halved; at most a
        tenth of the images seen, so that the average forgets the start.

    Source: the half-life in images as in Karras et al., "Analyzing and Improving the Image Quality
    of StyleGAN", 2020.
    """

    def __init__(self, network: nn.Module, *, half_life_images: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(requires_grad=False).eval()
        self.half_life_images = half_life_images

    @torch.no_grad()
    def update(self, network: nn.Module, *, images: int, images_seen: int) -> None:
        """Take in the weights after a step of `images`, the last of `images_seen`."""
        half_life = min(self.half_life_images, images_seen / 10)
        weight = 1 - 0.5 ** (images / half_life)
        averaged: list[Tensor] = list(self.network.parameters())
        torch._foreach_lerp_(averaged, list(network.parameters()), weight)
        for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)

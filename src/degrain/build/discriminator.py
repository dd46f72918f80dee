"""Discriminators by name."""

from __future__ import annotations

from torch import nn

from degrain.models.discriminators import PatchDiscriminator, UnetDiscriminator
from degrain.params import Discriminator

KINDS = {"unet": UnetDiscriminator, "patchgan": PatchDiscriminator}


def build_discriminator(section: Discriminator, channels: int) -> nn.Module:
    """The untrained discriminator of images of `channels`; it sees twice as many if conditional."""
    seen = 2 * channels if section.conditional else channels
    return KINDS[section.kind](
        seen,
        width=section.width,
        spectral_norm=section.spectral_norm,
        minibatch_std=section.minibatch_std,
    )

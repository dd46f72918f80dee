"""Discriminators by name."""

from __future__ import annotations

from torch import nn

from degrain.models.discriminators import DcganDiscriminator, PatchDiscriminator, UnetDiscriminator
from degrain.training_params import Discriminator

OF_ANY_SIZE = {"unet": UnetDiscriminator, "patchgan": PatchDiscriminator}


def build_discriminator(section: Discriminator, channels: int, *, side_px: int) -> nn.Module:
    """The untrained discriminator of square images of `channels`; it sees twice as many if conditional."""
    seen = 2 * channels if section.conditional else channels
    options = section.model_dump(include={"width", "spectral_norm", "minibatch_std"})
    if section.kind == "dcgan":
        return DcganDiscriminator(seen, side_px=side_px, **options)
    return OF_ANY_SIZE[section.kind](seen, **options)

"""Blocks of camera noise from a noise vector, the brightness there, and how noisy the image is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from degrain.models.dcgan import DcganCritic, DcganGenerator

USUAL_255 = 4.0
GRAIN = 4


class BlockNoise(nn.Module):
    """Draws blocks of noise.

    Parameters
    ----------
    channels : of the images.
    side_px, width, z_length : see `DcganGenerator`.

    Attributes
    ----------
    numbers : that a noise vector has.
    levels_255 : weakest and strongest level that it was shown. Beyond them noise looks as it does there,
        but for its strength.
    gain : what the network's output is multiplied by, so that its strength is that of what it was shown.
    """

    levels_255: Tensor
    gain: Tensor

    def __init__(self, channels: int, *, side_px: int, width: int, z_length: int) -> None:
        super().__init__()
        self.channels, self.side_px = channels, side_px
        told = channels + 1
        self.network = DcganGenerator(told + z_length, channels, side_px=side_px, width=width, grain=GRAIN)
        self.numbers = self.network.numbers - told
        self.register_buffer("levels_255", torch.tensor([USUAL_255, USUAL_255]))
        self.register_buffer("gain", torch.tensor(1.0))

    def unit(self, z: Tensor, brightness: Tensor, level_255: Tensor) -> Tensor:
        """Noise in units of the level; see `forward`."""
        weakest, strongest = self.levels_255
        seen = traits(brightness, level_255.clamp(weakest, strongest))
        noise: Tensor = self.network(torch.cat([seen, z], dim=1)) * self.gain
        return noise - noise.mean((2, 3), keepdim=True)  # as the blocks that it was shown

    def forward(self, z: Tensor, brightness: Tensor, level_255: Tensor) -> Tensor:
        """One block for each noise vector.

        Parameters
        ----------
        z : (B, numbers), normal.
        brightness : (B, C) mean of the clean block in each channel, in [0, 1].
        level_255 : (B,) root mean square of the noise in smooth parts of the image, in units of 255.

        Returns
        -------
        (B, C, side_px, side_px), on the scale of the image.
        """
        return self.unit(z, brightness, level_255) * (level_255 / 255).view(-1, 1, 1, 1)


class BlockNoiseCritic(nn.Module):
    """Scores blocks of noise, given the brightness there and how noisy the image is."""

    def __init__(self, channels: int, *, side_px: int, width: int) -> None:
        super().__init__()
        self.network = DcganCritic(2 * channels + 1, side_px=side_px, width=width)

    def forward(self, unit: Tensor, brightness: Tensor, level_255: Tensor) -> Tensor:
        """unit (B, C, S, S), noise in units of the level; logits (B, 1). The rest as in `BlockNoise`."""
        seen = traits(brightness, level_255)[:, :, None, None].expand(-1, -1, *unit.shape[2:])
        logits: Tensor = self.network(torch.cat([unit, seen], dim=1))
        return logits


def traits(brightness: Tensor, level_255: Tensor) -> Tensor:
    """Brightness (B, C) and level (B,) on scales that suit a network: (B, C + 1)."""
    return torch.cat([2 * brightness - 1, (level_255 / USUAL_255).log2()[:, None]], dim=1)

"""What the discriminator is shown in place of the images, so that it does not learn them by heart.

Clean and restored image of a pair are augmented by the same draws, so that their features still match
place by place. All of it lets gradients through.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

# Of the side of an image; of the whole range; of a factor's logarithm (Karras et al., 2020).
SHIFT, BRIGHTNESS, CONTRAST, SATURATION = 0.125, 0.1, 0.5 * math.log(2), math.log(2)


class Shown(NamedTuple):
    """Three images (B, C, H, W) of the same scenes; noisy is seen by a conditional discriminator only."""

    clean: Tensor
    restored: Tensor
    noisy: Tensor


def augmented(shown: Shown, probability: float, *, generator: torch.Generator) -> Shown:
    """Turn, mirror, shift and recolour each scene, each at random with a probability in [0, 1].

    Images are square. Source: Karras et al., "Training Generative Adversarial Networks with Limited Data",
    2020; those of its transformations that need no interpolation, which would blur.
    """
    batch, side = shown.clean.shape[0], shown.clean.shape[3]
    rows, columns = places(batch, side, probability, generator=generator)
    colours = random_colours(batch, probability, generator=generator)
    device = shown.clean.device
    rows, columns, colours = rows.to(device), columns.to(device), colours.to(device)
    return Shown(*(recoloured(moved(image, rows, columns), colours) for image in shown))


def with_instance_noise(shown: Shown, sigma: float, *, generator: torch.Generator) -> Shown:
    """Add Gaussian noise of sigma, on the images' scale, to both sides, so that none is real beyond doubt.

    Source: Sønderby et al., "Amortised MAP Inference for Image Super-resolution", 2017.
    """
    clean, restored = (
        image + sigma * torch.randn(image.shape, generator=generator).to(image.device)
        for image in (shown.clean, shown.restored)
    )
    return Shown(clean, restored, shown.noisy)


def places(batch: int, side: int, probability: float, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Row and column (B, side, side) that each pixel is taken from; what lies outside is mirrored in."""
    mirrored = _happens(batch, probability, generator) & _happens(batch, 0.5, generator)
    turns = torch.randint(4, (batch, 1, 1), generator=generator) * _happens(batch, probability, generator)
    shift = (torch.rand((2, batch, 1, 1), generator=generator) * 2 - 1) * SHIFT * side
    down, right = (shift * _happens(batch, probability, generator)).round().long()

    rows = torch.arange(side).view(1, side, 1).expand(batch, side, side)
    columns = rows.transpose(1, 2)
    columns = torch.where(mirrored, side - 1 - columns, columns)
    for turn in (1, 2, 3):
        rows, columns = (
            torch.where(turns >= turn, columns, rows),
            torch.where(turns >= turn, side - 1 - rows, columns),
        )
    return _mirror_in(rows + down, side), _mirror_in(columns + right, side)


def moved(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Images (B, C, H, W) with each pixel taken from its place, (B, H, W) each."""
    which = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    return images.permute(0, 2, 3, 1)[which, rows, columns].permute(0, 3, 1, 2)


def random_colours(batch: int, probability: float, *, generator: torch.Generator) -> Tensor:
    """Brightness (added), contrast and saturation (factors) of each image: (3, B, 1, 1, 1)."""
    draws = torch.randn((3, batch, 1, 1), generator=generator)
    happens = torch.stack([_happens(batch, probability, generator) for _ in draws])
    brightness, contrast, saturation = draws * happens
    changes = [brightness * BRIGHTNESS, (contrast * CONTRAST).exp(), (saturation * SATURATION).exp()]
    return torch.stack(changes).unsqueeze(-1)


def recoloured(images: Tensor, colours: Tensor) -> Tensor:
    """Images (B, C, H, W) in [0, 1] with `random_colours`; not clipped."""
    brightness, contrast, saturation = colours
    changed = (images - 0.5 + brightness) * contrast
    grey = changed.mean(1, keepdim=True)
    saturated: Tensor = grey + (changed - grey) * saturation + 0.5
    return saturated


def _happens(batch: int, probability: float, generator: torch.Generator) -> Tensor:
    return torch.rand((batch, 1, 1), generator=generator) < probability


def _mirror_in(place: Tensor, side: int) -> Tensor:
    last = side - 1
    return last - (last - place.abs()).abs()

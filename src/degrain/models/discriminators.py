"""Discriminators: networks that score how real an image looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm as bounded

from degrain.models.layers import with_batch_deviation

DETAIL_GAIN = 16.0
SURROUNDINGS_PX = 5


class Judgement(NamedTuple):
    """What a discriminator says of a batch.

    logits : (B, 1, h, w) unbounded scores, h = w = 1 for one an image, higher for real.
    features : activations of its layers, the first to the last, for feature matching.
    """

    logits: Tensor
    features: list[Tensor]


class UnetDiscriminator(nn.Module):
    """A score for every pixel, from a U-Net that sees detail and its surroundings.

    Parameters
    ----------
    channels : of the images that it sees.
    width : channels at the finest scale; it doubles at each of two coarser ones.
    spectral_norm : the weights of each layer but the score, taken as a matrix, have 1 as their largest
        singular value (Miyato et al., 2018, who bound the score, too).
    minibatch_std : the coarsest scale sees how much the batch varies; see `with_batch_deviation`.

    Source: Schönfeld et al., "A U-Net Based Discriminator for GANs", 2020.
    """

    def __init__(
        self, channels: int, *, width: int, spectral_norm: bool, minibatch_std: bool = False
    ) -> None:
        super().__init__()
        self.minibatch_std = minibatch_std
        layer = _layer(spectral_norm)
        self.first = layer(nn.Conv2d(channels, width, 3, padding=1))
        self.down = layer(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1))
        self.down_again = layer(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1))
        self.up = layer(nn.ConvTranspose2d(4 * width + minibatch_std, 2 * width, 2, stride=2))
        self.up_again = layer(nn.ConvTranspose2d(2 * width, width, 2, stride=2))
        self.last = layer(nn.Conv2d(width, width, 3, padding=1))
        self.score = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Judgement:
        """image (B, C, H, W) with H and W multiples of 4; logits (B, 1, H, W)."""
        fine = _activate(self.first(emphasise_detail(image)))
        middle = _activate(self.down(fine))
        coarse = _activate(self.down_again(middle))
        seen = with_batch_deviation(coarse) if self.minibatch_std else coarse
        middle = _activate(self.up(seen)) + middle
        fine = _activate(self.up_again(middle)) + fine
        last = _activate(self.last(fine))
        return Judgement(self.score(last), [coarse, middle, fine, last])


class PatchDiscriminator(nn.Module):
    """A score for every overlapping 70x70 patch.

    Parameters
    ----------
    channels : of the images that it sees.
    width : channels of the first layer; it doubles at each of three further ones.
    spectral_norm : the weights of each layer but the score, taken as a matrix, have 1 as their largest
        singular value (Miyato et al., 2018, who bound the score, too).
    minibatch_std : the last layer sees how much the batch varies; see `with_batch_deviation`.

    Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017;
    spectral norm takes the place of its batch norm.
    """

    def __init__(
        self, channels: int, *, width: int, spectral_norm: bool, minibatch_std: bool = False
    ) -> None:
        super().__init__()
        self.minibatch_std = minibatch_std
        layer = _layer(spectral_norm)
        widths = [channels, width, 2 * width, 4 * width, 8 * width]
        strides = [2, 2, 2, 1]
        self.layers = nn.ModuleList(
            layer(nn.Conv2d(before, after, 4, stride=stride, padding=1))
            for before, after, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )
        self.score = nn.Conv2d(8 * width + minibatch_std, 1, 4, padding=1)

    def forward(self, image: Tensor) -> Judgement:
        """image (B, C, H, W) of at least 32x32; logits (B, 1, H / 8 - 2, W / 8 - 2), rounded down."""
        features = _activations(self.layers, image)
        seen = with_batch_deviation(features[-1]) if self.minibatch_std else features[-1]
        return Judgement(self.score(seen), features)


class DcganDiscriminator(nn.Module):
    """One score for the whole image, from convolutions and a dense layer.

    Parameters
    ----------
    channels : of the images that it sees.
    width : channels of the first layer; it doubles at each of up to three further ones.
    side_px : of the images, at least 8; they are halved until at most 4 pixels are left, which decides
        the size of the dense layer.
    spectral_norm : the weights of each layer but the score, taken as a matrix, have 1 as their largest
        singular value (Miyato et al., 2018, who bound the score, too).
    minibatch_std : the dense layer sees how much the batch varies; see `with_batch_deviation`.

    Source: Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks", 2016; spectral norm takes the place of its batch norm.
    """

    def __init__(
        self, channels: int, *, width: int, side_px: int, spectral_norm: bool, minibatch_std: bool = False
    ) -> None:
        super().__init__()
        self.side_px, self.minibatch_std = side_px, minibatch_std
        layer = _layer(spectral_norm)
        self.layers = nn.ModuleList()
        while side_px > 4:
            wider = width * 2 ** min(len(self.layers), 3)
            self.layers.append(layer(nn.Conv2d(channels, wider, 4, stride=2, padding=1)))
            channels, side_px = wider, side_px // 2
        self.score = nn.Linear((channels + minibatch_std) * side_px**2, 1)

    def forward(self, image: Tensor) -> Judgement:
        """image (B, C, side_px, side_px); logits (B, 1, 1, 1)."""
        side, (height, width) = self.side_px, image.shape[2:]
        if (height, width) != (side, side):
            msg = f"image of {width} x {height} pixels; this discriminator takes {side} x {side}"
            raise ValueError(msg)
        features = _activations(self.layers, image)
        seen = with_batch_deviation(features[-1]) if self.minibatch_std else features[-1]
        return Judgement(self.score(seen.flatten(1)).view(-1, 1, 1, 1), features)


def emphasise_detail(image: Tensor) -> Tensor:
    """The image (B, C, H, W) in [0, 1], centred, with what differs from its surroundings amplified.

    What tells a restored image from a real one is fine detail, a hundredth of a photograph's contrast.
    Layers whose gain is bounded would take long to find it.
    """
    surroundings = F.avg_pool2d(
        image, SURROUNDINGS_PX, stride=1, padding=SURROUNDINGS_PX // 2, count_include_pad=False
    )
    return (image - 0.5) + DETAIL_GAIN * (image - surroundings)


def _layer(spectral_norm: bool) -> Callable[[nn.Module], nn.Module]:
    return bounded if spectral_norm else lambda layer: layer


def _activations(layers: nn.ModuleList, image: Tensor) -> list[Tensor]:
    """Of each layer on what the one before it gave, the first on the image with its detail emphasised."""
    features = [emphasise_detail(image)]
    for layer in layers:
        features.append(_activate(layer(features[-1])))
    return features[1:]


def _activate(features: Tensor) -> Tensor:
    return F.leaky_relu(features, 0.2)

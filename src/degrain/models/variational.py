"""The U-Net as a denoising variational autoencoder: what its coarsest scale sees is a random latent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from degrain.models.layers import start_at_zero, with_level_map
from degrain.models.unet import Unet

# Features of a U-Net that has learned to denoise are about 1/8 at its coarsest scale; a latent is about 1.
# A power of two, so that scaling up and down again changes no bit.
LATENT_GAIN = 8.0
# At the start: little noise beside means of about 1, so that the decoder can go on as before.
START_LOG_VARIANCE = -2.0


class Posterior(NamedTuple):
    """The latent of a noisy image as independent Gaussians: mean and log_variance (B, K, h, w), float32."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, epsilon: Tensor) -> Tensor:
        """A latent, mean + deviation * epsilon, by standard normal numbers of the same shape."""
        return self.mean + (self.log_variance / 2).exp() * epsilon


class VariationalUnet(Unet):
    """The U-Net with a latent in the middle of its coarsest scale.

    The half before it encodes, the half after it decodes. The finer scales' skips are not random: they carry
    detail past the latent. Called as a generator it restores from the latent's mean.

    Parameters
    ----------
    channels, widths, blocks, stem_stride : see `Unet`. The latent has as many channels as the coarsest scale.

    Source: Im et al., "Denoising Criterion for Variational Auto-Encoding Framework", 2017: the noisy image is
    encoded, the clean one is to be decoded.
    """

    def __init__(
        self, channels: int, *, widths: Sequence[int], blocks: Sequence[int], stem_stride: int = 1
    ) -> None:
        super().__init__(channels, widths=widths, blocks=blocks, stem_stride=stem_stride)
        self.encoding_blocks = (blocks[-1] + 1) // 2
        width = widths[-1]
        self.to_mean = _identity(width)
        self.to_log_variance = start_at_zero(nn.Conv2d(width, width, 1, bias=False))
        self.from_latent = _identity(width)

    def encode(self, noisy: Tensor, sigma: Tensor) -> tuple[Posterior, list[Tensor]]:
        """The latent, and the skips, finest first, of noisy (B, C, H, W); sigma (B,) on the image's scale."""
        features = self.head(with_level_map(noisy, sigma))
        skips = []
        for scale, shrink in zip(self.down, self.shrink, strict=True):
            features = scale(features)
            skips.append(features)
            features = shrink(features)
        features = LATENT_GAIN * self.bottom[: self.encoding_blocks](features)
        log_variance = START_LOG_VARIANCE + self.to_log_variance(features).float()
        return Posterior(self.to_mean(features).float(), log_variance), skips

    def decode(self, noisy: Tensor, latent: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """The restored image of a latent (B, K, h, w)."""
        features = self.bottom[self.encoding_blocks :](self.from_latent(latent) / LATENT_GAIN)
        for scale, grow, skip in zip(reversed(self.up), reversed(self.grow), reversed(skips), strict=True):
            features = scale(grow(features) + skip)
        noise: Tensor = self.tail(features)
        return noisy - noise.to(noisy.dtype)

    def forward(self, noisy: Tensor, sigma: Tensor, z: Tensor | None = None) -> Tensor:
        """Restore from the mean of the latent; see `Unet.forward`. It takes no z."""
        del z
        posterior, skips = self.encode(noisy, sigma)
        return self.decode(noisy, posterior.mean, skips)


def made_variational(network: Unet, *, widths: Sequence[int], blocks: Sequence[int]) -> VariationalUnet:
    """The network of these widths and blocks with a latent, whose mean restores what the network did.

    It starts as equivariant as the network is, and is then trained without.
    """
    stride = network.head.stride[0]
    grown = VariationalUnet(network.tail.out_channels, widths=widths, blocks=blocks, stem_stride=stride)
    grown.load_state_dict(grown.state_dict() | network.state_dict())
    return grown.train(network.training)


def _identity(width: int) -> nn.Conv2d:
    """A convolution of single pixels that at first changes nothing."""
    layer = nn.Conv2d(width, width, 1, bias=False)
    nn.init.dirac_(layer.weight)
    return layer

"""Noise models: clean images, a level each and a generator in; noisy images out."""

from degrain.noise.additive import Correlated, Gaussian
from degrain.noise.chain import Chain, Link
from degrain.noise.counting import Poisson, PoissonGaussian
from degrain.noise.jpeg import Jpeg, quantize
from degrain.noise.learned import Learned
from degrain.noise.model import NoiseModel
from degrain.noise.pixelwise import SaltPepper, Speckle

__all__ = [
    "Chain",
    "Correlated",
    "Gaussian",
    "Jpeg",
    "Learned",
    "Link",
    "NoiseModel",
    "Poisson",
    "PoissonGaussian",
    "SaltPepper",
    "Speckle",
    "quantize",
]

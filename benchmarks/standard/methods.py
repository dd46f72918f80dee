"""The methods that are measured: the classical filters, BM3D, and the released generators."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import degrain.baselines
from benchmarks.flops import convolutions, macs
from degrain.baselines import BASELINES, SIZES, best_size
from degrain.bm3d import load_bm3d
from degrain.build.generator import load_generator
from degrain.build.released import released_path
from degrain.compute import Engine
from degrain.files import sha256_file
from degrain.metrics import psnr, to_8_bit
from degrain.models.dncnn import Dncnn
from degrain.restore import Restorer

Image = NDArray[np.float32]
Pairs = Sequence[tuple[Image, Image]]

FILTERS = ("median", "gaussian", "total_variation", "wavelet", "non_local_means")
COUNTED_PX = 256  # side of the image that operations are counted on, as publications do


@dataclass(frozen=True)
class Method:
    """Something that restores images of one number of channels.

    Attributes
    ----------
    at : sigma, in [0, 1], to the function (noisy (H, W, C), sigma) -> restored.
    identity : differs when the results may: weights, or code and the libraries it calls.
    processes : whether it pays to restore each image in a process of its own.
    scored : False for weights that are random, of which only the speed means something.
    parameters : how many; gmacs : 10^9 multiplications with additions on 256x256 pixels.
    """

    name: str
    at: Callable[[float], Callable[[Image, float], Image]]
    identity: str
    processes: bool = False
    scored: bool = True
    parameters: int | None = None
    gmacs: float | None = None


def methods(channels: int, engine: Engine, validation: Callable[[int, float], Pairs]) -> list[Method]:
    """All methods for images of `channels`; filters that take a size get the best one on `validation`."""
    found = [Method("noisy", lambda _: _unchanged, "none"), *_filters(channels, validation)]
    if find_spec("bm3d"):
        found.append(Method("bm3d", lambda _: load_bm3d(), version("bm3d"), processes=True))
    return [*found, *_generators(channels, engine), _dncnn(channels, engine)]


def _unchanged(noisy: Image, sigma: float) -> Image:
    del sigma
    return noisy


def _filters(channels: int, validation: Callable[[int, float], Pairs]) -> Iterator[Method]:
    code = inspect.getsource(degrain.baselines)
    libraries = [version(name) for name in ("scikit-image", "scipy", "PyWavelets")]
    identity = hashlib.sha256("\n".join([code, *libraries]).encode()).hexdigest()[:16]
    for name in FILTERS:
        yield Method(name, _Fitted(name, channels, validation), identity, processes=True)


@dataclass(frozen=True)
class _Fitted:
    """A filter with the size that is best at a level."""

    name: str
    channels: int
    validation: Callable[[int, float], Pairs]

    def __call__(self, sigma: float) -> Callable[[Image, float], Image]:
        if self.name not in SIZES:
            return BASELINES[self.name]
        return _Sized(self.name, best_size(self.name, self.validation(self.channels, sigma), _score))


@dataclass(frozen=True)
class _Sized:
    """A filter of one size; a class, because it goes to other processes."""

    name: str
    size: float

    def __call__(self, noisy: Image, sigma: float) -> Image:
        return BASELINES[self.name](noisy, self.size)


def _score(restored: Image, clean: Image) -> float:
    return psnr(to_8_bit(restored), clean, data_range=1.0)


def _generators(channels: int, engine: Engine) -> Iterator[Method]:
    for name, end, ensemble in (
        ("degrain", "faithful", False),
        ("degrain_x8", "faithful", True),
        ("degrain_adversarial", "realistic", False),
    ):
        path = released_path(end, channels)
        if path.exists():
            network, _ = load_generator(path)
            parameters, gmacs = _size(network, channels)
            restorer = Restorer(network, channels, engine, ensemble=ensemble)
            identity = sha256_file(path)[:16] + str(engine)
            yield Method(
                name,
                lambda _, r=restorer: r,
                identity,
                parameters=parameters,
                gmacs=gmacs * len(restorer.turns),
            )


def _dncnn(channels: int, engine: Engine) -> Method:
    """The layers of DnCNN-S as published, in float32 and channels first, as its code runs."""
    network = Dncnn(channels, depth=17, width=64).eval()
    parameters, gmacs = _size(network, channels)
    network.to(engine.device)

    def restore(noisy: Image, sigma: float) -> Image:
        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(noisy.transpose(2, 0, 1)[None])).to(engine.device)
            level = torch.tensor([sigma], device=engine.device)
            return network(given, level).cpu().numpy()[0].transpose(1, 2, 0)

    return Method(
        "dncnn_layers", lambda _: restore, "random", scored=False, parameters=parameters, gmacs=gmacs
    )


def _size(network: nn.Module, channels: int) -> tuple[int, float]:
    """(parameters, GMACs)."""
    given = torch.zeros(1, channels, COUNTED_PX, COUNTED_PX)
    counted = macs(convolutions(network, given, torch.zeros(1)))
    return sum(weight.numel() for weight in network.parameters()), round(counted / 1e9, 1)

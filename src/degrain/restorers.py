"""The generators that `degrain denoise` takes: those that come with degrain, and a user's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import nn

from degrain.build.dial import load_between
from degrain.build.generator import load_generator
from degrain.build.released import END_POINTS, WEIGHTS, released_path
from degrain.compute import Engine
from degrain.errors import DegrainError
from degrain.restore import Image, Restorer, as_image, without_copies
from degrain.tiles import Window

# The end points of the dial by their names.
DIALS = {"faithful": 0.0, "realistic": 1.0}


def sampling_path(channels: int) -> Path:
    """File of the generator that comes with degrain and draws samples of images of `channels`, 1 or 3."""
    return WEIGHTS / f"sampling-{'colour' if channels == 3 else 'grey'}.safetensors"


class Released:
    """The generators that come with degrain: grey images go through one, colour images through another.

    Parameters
    ----------
    dial : see `load_between`; None: those that take noise z, and so draw samples.
    ensemble, seed : see `Restorer`.
    """

    def __init__(self, dial: float | None, engine: Engine, *, ensemble: bool = False, seed: int = 0) -> None:
        self.dial, self.engine, self.ensemble, self.seed = dial, engine, ensemble, seed
        self.stochastic = dial is None
        self._loaded: dict[int, Restorer] = {}

    def restore_stored(
        self,
        pixels: NDArray[Any],
        sigma: float | None = None,
        strength: float = 1.0,
        *,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Restore the pixels of a file; see `Restorer.restore_stored`."""
        channels = without_copies(as_image(pixels, sigma)).shape[2]
        return self._for(channels).restore_stored(pixels, sigma, strength, out=out)

    def restore_all(self, images: Sequence[Image], sigma: float | None = None) -> list[Image]:
        """Restore several images, small ones of like size together; see `Restorer.restore_all`."""
        alike: dict[int, list[int]] = defaultdict(list)
        for number, image in enumerate(images):
            alike[without_copies(as_image(image, sigma)).shape[2]].append(number)
        restored: dict[int, Image] = {}
        for channels, numbers in alike.items():
            given = [images[number] for number in numbers]
            restored |= zip(numbers, self._for(channels).restore_all(given, sigma), strict=True)
        return [restored[number] for number in range(len(images))]

    def samples(self, noisy: Image, sigma: float | None = None, *, count: int) -> Image:
        """Restore a float image (H, W, C) several times: (count, H, W, C); see `Restorer.samples`.

        Raises
        ------
        DegrainError : the image or sigma is none that can be restored.
        """
        image = as_image(noisy, sigma)
        return self._for(without_copies(image).shape[2]).samples(image, sigma, count=count)

    def parts(
        self, noisy: NDArray[Any], sigma: float | None, *, count: int = 1
    ) -> Iterator[tuple[Window, list[Image]]]:
        """Restore tile after tile, each `count` times; see `Restorer.parts`."""
        image = as_image(noisy, sigma)
        return self._for(without_copies(image).shape[2]).parts(image, sigma, count=count)

    def _for(self, channels: int) -> Restorer:
        """Each is loaded when it is first needed."""
        if channels not in self._loaded:
            found = self._generator(channels)
            self._loaded[channels] = Restorer(*found, self.engine, ensemble=self.ensemble, seed=self.seed)
        return self._loaded[channels]

    def _generator(self, channels: int) -> tuple[nn.Module, int]:
        """An end needs no other: while it is trained on, there may be none of the same training."""
        if self.dial is None:
            return load_generator(sampling_path(channels))
        faithful, realistic = (released_path(end, channels) for end in END_POINTS)
        if self.dial in (0, 1):
            return load_generator(realistic if self.dial else faithful)
        return load_between(faithful, realistic, self.dial)


def load_restorer(
    model: str | None,
    engine: Engine,
    *,
    dial: float | None = None,
    samples: bool = False,
    ensemble: bool = False,
    seed: int = 0,
) -> Restorer | Released:
    """The generator that a user names.

    Parameters
    ----------
    model : faithful or realistic, or a safetensors file; with `dial` a folder that a pipeline trained into,
        such as models; None for those that come with degrain.
    dial : from 0, most faithful, to 1, most realistic.
    samples : whether samples will be drawn: those that come with degrain, if neither model nor dial is given,
        are then stochastic.
    ensemble, seed : see `Restorer`.

    Raises
    ------
    DegrainError : there is no such file, it holds no generator of ours, or the two do not go together.
    """
    if samples and dial is None and model is None:
        return Released(None, engine, ensemble=ensemble, seed=seed)
    if dial is None and model in (None, *DIALS):
        dial, model = DIALS[model or "faithful"], None
    if dial is None:
        return Restorer.load(Path(str(model)), engine, ensemble=ensemble, seed=seed)
    if model is None:
        return Released(dial, engine, ensemble=ensemble)
    return Restorer(*load_between(*_ends(model, dial), dial), engine, ensemble=ensemble, seed=seed)


def _ends(model: str, dial: float) -> tuple[Path, Path]:
    """The generators of both training stages below a folder."""
    if not Path(model).is_dir():
        msg = (
            f"--model {model} with --dial {dial:g}: expected a folder with pretrain/ and train/ in it, such "
            "as models; or leave --model out, for the generators that come with degrain"
        )
        raise DegrainError(msg)
    faithful, realistic = (Path(model) / stage / "generator.safetensors" for stage in ("pretrain", "train"))
    return faithful, realistic

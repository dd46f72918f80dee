"""The generators that `degrain denoise` takes: those that come with degrain, and a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from numpy.typing import NDArray

from degrain.build.released import End, released_path
from degrain.compute import Engine
from degrain.restore import Restorer


class Released:
    """The generators that come with degrain: grey images go through one, colour images through another.

    Parameters
    ----------
    end : faithful or realistic; ensemble : see `Restorer`.
    """

    def __init__(self, end: End, engine: Engine, *, ensemble: bool = False) -> None:
        self.end, self.engine, self.ensemble = end, engine, ensemble
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
        return self._for(pixels.shape[2]).restore_stored(pixels, sigma, strength, out=out)

    def _for(self, channels: int) -> Restorer:
        """Each is loaded when it is first needed."""
        if channels not in self._loaded:
            path = released_path(self.end, channels)
            self._loaded[channels] = Restorer.load(path, self.engine, ensemble=self.ensemble)
        return self._loaded[channels]


def load_restorer(model: str, engine: Engine, *, ensemble: bool = False) -> Restorer | Released:
    """The generator that a user names.

    Parameters
    ----------
    model : faithful or realistic, or a safetensors file.

    Raises
    ------
    DegrainError : there is no such file, or it holds no generator of ours.
    """
    for end in get_args(End):
        if model == end:
            return Released(end, engine, ensemble=ensemble)
    return Restorer.load(Path(model), engine, ensemble=ensemble)

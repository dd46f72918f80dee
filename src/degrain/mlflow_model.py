"""The file that MLflow runs to load a logged generator; it is stored beside the weights.

A run logs it twice. `generator` takes arrays, for Python:

    model = mlflow.pyfunc.load_model("runs:/<run id>/generator")
    restored = model.predict(noisy)                          # noisy: float32 (B, H, W, C) in [0, 1]
    restored = model.predict(noisy, params={"sigma_255": 25, "strength": 0.8})

`service` takes image files as base64, for a server:

    model = mlflow.pyfunc.load_model("models:/degrain-rgb@champion")
    [restored] = model.predict([base64.b64encode(path.read_bytes()).decode()], params={"dial": 0.5})
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from degrain.build.dial import load_between
from degrain.compute import start_engine
from degrain.errors import DegrainError, ImageFileError
from degrain.params import Compute
from degrain.pictures import decode_picture, encode_picture
from degrain.restore import Restorer

REALISTIC, FAITHFUL = "weights", "faithful"  # artifacts; the second where the run has pretrained weights
KEPT_DIALS = 8  # so many settings of the dial keep their network


class Settings(NamedTuple):
    """How to restore: the noise where white is 1 (None: estimated), strength and dial in [0, 1]."""

    sigma: float | None
    strength: float
    dial: float

    @classmethod
    def read(cls, params: dict[str, Any] | None) -> Settings:
        """From the params of a request, which may lack any."""
        given = {"sigma_255": -1.0, "strength": 1.0, "dial": 1.0} | (params or {})
        sigma_255 = _number("sigma_255", given["sigma_255"], most=255, least=-np.inf)
        sigma = None if sigma_255 < 0 else sigma_255 / 255
        return cls(sigma, *(_number(name, given[name], most=1) for name in ("strength", "dial")))


class GeneratorModel(PythonModel):
    """A trained generator behind MLflow's interface."""

    def load_context(self, context: Any) -> None:
        """Build the network from the safetensors files, on the best device there is."""
        compute = Compute(device="auto", precision="auto", threads=torch.get_num_threads())
        self.engine = start_engine(compute)
        self.files = {name: Path(path) for name, path in context.artifacts.items()}
        self.restorer = lru_cache(KEPT_DIALS)(self._load)
        self.restorer(1.0)  # what is wrong with the files shows now

    def predict(
        self,
        context: Any,
        model_input: np.ndarray,  # or what holds strings; MLflow makes signatures of wider hints
        params: dict[str, Any] | None = None,
    ) -> np.ndarray | list[str]:
        """Restore images of any size, grey or colour.

        Parameters
        ----------
        model_input : float32 (B, H, W, C) in [0, 1], C 1 or 3; or a list, array or column of base64
            strings, each a PNG, JPEG, TIFF or WebP.
        params : sigma_255, the noise's standard deviation in units of 255; below 0 it is estimated,
            for each image on its own. strength, from the noisy image (0) to the restored one (1). dial,
            from the pretrained weights (0, the most faithful) to those of adversarial training (1).

        Returns
        -------
        float32 (B, H, W, C), not clipped; or base64 strings, each a file of the same format, depth and
        metadata.

        Raises
        ------
        MlflowException : the input cannot be used (INVALID_PARAMETER_VALUE).
        """
        try:
            settings = Settings.read(params)
            restorer = self.restorer(settings.dial)
            if isinstance(model_input, np.ndarray) and model_input.dtype.kind == "f":
                return _restore_arrays(restorer, model_input, settings)
            texts = np.asarray(model_input, dtype=object).ravel()
            return [_restore_file(restorer, text, settings, number) for number, text in enumerate(texts)]
        except DegrainError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _load(self, dial: float) -> Restorer:
        """The network at a setting of the dial."""
        realistic = self.files[REALISTIC]
        if FAITHFUL in self.files:
            return Restorer(*load_between(self.files[FAITHFUL], realistic, dial), self.engine)
        if dial != 1:
            msg = f"dial = {dial:g}; this model has one set of weights, so the dial stays at 1"
            raise DegrainError(msg)
        return Restorer.load(realistic, self.engine)


def _restore_arrays(restorer: Restorer, noisy: np.ndarray, settings: Settings) -> np.ndarray:
    restored = np.stack(restorer.restore_all(list(noisy), settings.sigma))
    if settings.strength == 1:
        return restored
    blend: np.ndarray = noisy + np.float32(settings.strength) * (restored - noisy)
    return blend


def _restore_file(restorer: Restorer, text: object, settings: Settings, number: int) -> str:
    """A file as base64 to the restored one; `number` is its place among the inputs, for errors."""
    name = Path(f"image {number}")
    picture = decode_picture(_bytes(text, name), name)
    pixels = picture.stored.pixels
    restorer.restore_stored(pixels, settings.sigma, settings.strength, out=pixels)
    return base64.b64encode(encode_picture(picture, pixels)).decode("ascii")


def _bytes(text: object, name: Path) -> bytes:
    if not isinstance(text, str):
        raise ImageFileError(name, f"a value of type {type(text).__name__}", "send a file as a base64 string")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageFileError(name, f"no base64 ({error})", "send a file as a base64 string") from error


def _number(name: str, value: Any, *, most: float, least: float = 0.0) -> float:
    number = float(value)
    if not least <= number <= most:
        least_named = "below 0 to have it estimated, or from 0" if least < 0 else "from 0"
        msg = f"{name} = {value}; expected a number {least_named} to {most:g}"
        raise DegrainError(msg)
    return number


# How MLflow is handed the model of a file that it runs.
set_model(GeneratorModel())

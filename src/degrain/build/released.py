"""The generators that come with the package, in `degrain/weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from torch import nn

from degrain.build.generator import load_generator, read_description
from degrain.params import Model, ParamsError

WEIGHTS = Path(__file__).parent.parent / "weights"
LEGS = WEIGHTS / "legs.json"

# Two end points of one training: the pixel loss alone, and the discriminator on top of it.
End = Literal["faithful", "realistic"]


def released_path(end: End, channels: int) -> Path:
    """File of the generator for images of `channels`, 1 or 3."""
    return WEIGHTS / f"{end}-{'colour' if channels == 3 else 'grey'}.safetensors"


def released_generator(model: Model, channels: int) -> nn.Module:
    """The faithful released generator, to train on from.

    Raises
    ------
    ParamsError : `model` describes another network.
    """
    path = released_path("faithful", channels)
    released, _ = read_description(path)
    if released.in_use != model.in_use:
        msg = (
            f"pretrain.start = released: those weights are of {released.in_use}, but model describes "
            f"{model.in_use}; set model alike, or pretrain.start: none to train from nothing"
        )
        raise ParamsError(msg)
    network, _ = load_generator(path)
    return network

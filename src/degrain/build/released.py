"""The generators that come with the package, in `degrain/weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from degrain.build.generator import read_description
from degrain.model_params import Model

WEIGHTS = Path(__file__).parent.parent / "weights"
LEGS = WEIGHTS / "legs.json"

# Two end points of one training: the pixel loss alone, and the discriminator on top of it.
End = Literal["faithful", "realistic"]
END_POINTS: tuple[End, ...] = get_args(End)


def released_path(end: End, channels: int) -> Path:
    """File of the generator for images of `channels`, 1 or 3."""
    return WEIGHTS / f"{end}-{'colour' if channels == 3 else 'grey'}.safetensors"


def released_for(model: Model, channels: int) -> Path | None:
    """The faithful released generator, to train on from; None where it is another network than `model`."""
    path = released_path("faithful", channels)
    return path if path.exists() and read_description(path)[0].in_use == model.in_use else None

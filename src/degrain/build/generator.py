"""Generators by name, and on disk."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from degrain.build.weights_file import ours, read_metadata, read_weights, save_weights
from degrain.errors import DegrainError
from degrain.model_params import Model
from degrain.models.dncnn import Dncnn
from degrain.models.unet import Unet, made_stochastic

# Of a model, and of its U-Net, in files that were written before they could be anything else.
NOT_SAID = {"stochastic": False}
NOT_SAID_OF_UNET = {"stem_stride": 1, "equivariant": False}


def build_generator(model: Model, channels: int) -> nn.Module:
    """The untrained generator that `model` describes, for images of `channels`; it takes no noise z yet."""
    match model.generator:
        case "unet":
            return Unet(channels, **model.unet.model_dump())
        case "dncnn":
            return Dncnn(channels, depth=model.dncnn.depth, width=model.dncnn.width)


def save_generator(path: Path, network: nn.Module, model: Model, channels: int) -> None:
    """Write weights as safetensors, and with them what it takes to build the network again.

    Whether it is stochastic is the network's affair: with model.stochastic, pretraining's is not.
    """
    described = model.model_dump(mode="json") | {"stochastic": bool(network.stochastic)}
    save_weights(path, network, {"channels": channels, "model": described})


def load_generator(path: Path, *, stochastic: bool = False) -> tuple[nn.Module, int]:
    """The trained generator of a file, in float32, and the channels of its images.

    Parameters
    ----------
    stochastic : make it take noise z, if it does not yet; see `made_stochastic`.

    Raises
    ------
    DegrainError : the file is missing or holds no generator of ours.
    """
    model, channels = read_description(path)
    with ours(path):
        network = build_generator(model, channels)
        if model.stochastic:
            network = made_stochastic(network)
        network.load_state_dict(read_weights(path))
    if stochastic and not network.stochastic:
        network = made_stochastic(network)
    return network.eval(), channels


def read_description(path: Path) -> tuple[Model, int]:
    """What it takes to build the generator of a file: the model and the channels of its images.

    Raises
    ------
    DegrainError : see `load_generator`.
    """
    if not path.is_file():
        msg = (
            f"{path}: no generator there; expected the safetensors file of one (`make repro` trains one "
            "into models/), or faithful or realistic"
        )
        raise DegrainError(msg)
    with ours(path):
        described = read_metadata(path)
        model = NOT_SAID | described["model"]
        model |= {"unet": NOT_SAID_OF_UNET | model["unet"]}
        return Model(**model), int(described["channels"])

"""Generators by name, and on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from degrain.errors import DegrainError
from degrain.files import write_bytes
from degrain.models.dncnn import Dncnn
from degrain.models.unet import Unet, made_stochastic
from degrain.params import Model

DESCRIPTION = "degrain"
# Of a model in files that were written before it could be anything else.
NOT_SAID = {"stochastic": False}


def build_generator(model: Model, channels: int) -> nn.Module:
    """The untrained generator that `model` describes, for images of `channels`; it takes no noise z yet."""
    match model.generator:
        case "unet":
            return Unet(channels, widths=model.unet.widths, blocks=model.unet.blocks)
        case "dncnn":
            return Dncnn(channels, depth=model.dncnn.depth, width=model.dncnn.width)


def save_generator(path: Path, network: nn.Module, model: Model, channels: int) -> None:
    """Write weights as safetensors, and with them what it takes to build the network again.

    Whether it is stochastic is the network's affair: with model.stochastic, pretraining's is not.
    """
    described = model.model_dump(mode="json") | {"stochastic": bool(network.stochastic)}
    save_weights(path, network, {"channels": channels, "model": described})


def save_weights(path: Path, network: nn.Module, description: dict[str, object]) -> None:
    """Write a network's weights and buffers as safetensors, with a description that JSON can hold."""
    # One entry: safetensors writes several in an order that differs from run to run.
    metadata = {DESCRIPTION: json.dumps(description)}
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    write_bytes(path, save(weights, metadata=metadata))


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
    with _ours(path), safe_open(path, framework="pt") as file:
        network = build_generator(model, channels)
        if model.stochastic:
            network = made_stochastic(network)
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
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
    with _ours(path), safe_open(path, framework="pt") as file:
        described = json.loads((file.metadata() or {})[DESCRIPTION])
        return Model(**NOT_SAID | described["model"]), int(described["channels"])


@contextmanager
def _ours(path: Path) -> Iterator[None]:
    """Say which file it is that holds no generator of ours."""
    try:
        yield
    except (SafetensorError, KeyError, ValueError, RuntimeError, OSError) as error:
        msg = f"{path}: expected a generator that degrain saved as safetensors; {error}"
        raise DegrainError(msg) from error

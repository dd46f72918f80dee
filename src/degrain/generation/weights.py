"""Networks of this pipeline on disk: safetensors that say how to build them again."""

from __future__ import annotations

from pathlib import Path

from degrain.build.weights_file import ours, read_metadata, read_weights, save_weights
from degrain.compute import Engine
from degrain.errors import DegrainError
from degrain.models.image_classifier import ImageClassifier
from degrain.models.image_generator import ImageGenerator
from degrain.section import Section

Network = ImageGenerator | ImageClassifier
KINDS: dict[str, type[Network]] = {kind.__name__: kind for kind in (ImageGenerator, ImageClassifier)}


def save_network(path: Path, network: Network, settings: Section, **told: object) -> None:
    """Write a network, and how it was trained: the section of the params, and what else is told."""
    described = {"network": type(network).__name__, "sizes": network.sizes}
    save_weights(path, network, {**described, "trained": settings.model_dump(mode="json"), **told})


def load_network(path: Path, engine: Engine) -> Network:
    """The network of a file, not in training, on the device.

    Raises
    ------
    DegrainError : the file is missing or holds none.
    """
    if not path.is_file():
        msg = f"{path}: no such file; expected a network, which `dvc repro` of this pipeline trains"
        raise DegrainError(msg)
    with ours(path, "a network of this pipeline"):
        described = read_metadata(path)
        network = KINDS[described["network"]](**described["sizes"])
        network.load_state_dict(read_weights(path))
    placed: Network = engine.place(network.eval().requires_grad_(requires_grad=False))  # type: ignore[assignment]
    return placed

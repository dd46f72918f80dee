"""Networks as safetensors files that say how to build them again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from degrain.errors import DegrainError
from degrain.files import write_bytes

DESCRIPTION = "degrain"


def save_weights(path: Path, network: nn.Module, description: dict[str, object]) -> None:
    """Write a network's weights and buffers as safetensors, with a description that JSON can hold."""
    # One entry: safetensors writes several in an order that differs from run to run.
    metadata = {DESCRIPTION: json.dumps(description)}
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    write_bytes(path, save(weights, metadata=metadata))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights and buffers of a file by name."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_metadata(path: Path) -> dict[str, Any]:
    """The description that `save_weights` wrote."""
    with safe_open(path, framework="pt") as file:
        described: dict[str, Any] = json.loads((file.metadata() or {})[DESCRIPTION])
        return described


@contextmanager
def ours(path: Path, what: str = "a generator") -> Iterator[None]:
    """Say which file it is that holds nothing of ours."""
    try:
        yield
    except (SafetensorError, KeyError, ValueError, RuntimeError, OSError) as error:
        msg = f"{path}: expected {what} that degrain saved as safetensors; {error}"
        raise DegrainError(msg) from error

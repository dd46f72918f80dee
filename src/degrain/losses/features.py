"""Distances in what a network sees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def feature_matching(restored: Sequence[Tensor], clean: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of features, averaged over layers: lists of (B, ...), to (B,).

    Source: Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with
    Conditional GANs", 2018.
    """
    layers = [(a - b).abs().flatten(1).mean(1) for a, b in zip(restored, clean, strict=True)]
    return torch.stack(layers).mean(0)

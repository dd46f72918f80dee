"""Adversarial losses by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from degrain.losses.adversarial import AdversarialPair, hinge, least_squares, non_saturating

ADVERSARIAL: Mapping[str, AdversarialPair] = MappingProxyType(
    {"non-saturating": non_saturating, "hinge": hinge, "lsgan": least_squares}
)

"""Adversarial losses by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from degrain.losses import adversarial
from degrain.losses.adversarial import AdversarialPair

ADVERSARIAL: Mapping[str, AdversarialPair] = MappingProxyType(
    {
        "minimax": adversarial.minimax,
        "non-saturating": adversarial.non_saturating,
        "lsgan": adversarial.least_squares,
        "hinge": adversarial.hinge,
        "wasserstein": adversarial.wasserstein,
        "relativistic-average": adversarial.relativistic_average,
        "relativistic-pairing": adversarial.relativistic_pairing,
    }
)

"""Adversarial losses by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
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
LABELLED = MappingProxyType(
    {
        "minimax": adversarial.non_saturating_discriminator_loss,
        "non-saturating": adversarial.non_saturating_discriminator_loss,
        "lsgan": adversarial.least_squares_discriminator_loss,
    }
)


def adversarial_pair(name: str, *, real_label: float) -> AdversarialPair:
    """The losses of a name; a label of the real images below 1 goes with those that compare with labels."""
    pair = ADVERSARIAL[name]
    if real_label == 1:
        return pair
    smoothed = partial(LABELLED[name], real_label=real_label)
    # Half way between the labels; at the sigmoid's losses the sign decides, whatever the label.
    return pair._replace(discriminator=smoothed, threshold=(pair.threshold or 0.0) * real_label)

"""What tells settings apart: short hashes, each made of the one before it."""

from __future__ import annotations

import json

from degrain.build.generator import NOT_SAID_OF_UNET
from degrain.files import sha256_bytes, sha256_file
from degrain.params import Params
from experiments.adversarial.arms import Plans, Row

SHARED = ("compute", "augment", "model", "validation")


def digest(*parts: object) -> str:
    """16 hexadecimal digits of values that JSON can hold."""
    return sha256_bytes(json.dumps(parts, sort_keys=True).encode())[:16]


def data_key(params: Params) -> str:
    """Of the images, patches and noise; the seed of a training is not in it."""
    decisive = {"channels", "train", "val", "test", "min_side"}
    if params.data.register_pairs:  # rows from before it was a setting keep their key
        decisive.add("register_pairs")
    sets = params.data.model_dump(mode="json", include=decisive)
    return digest(sets, params.noise.model_dump(mode="json"), params.patches.model_dump(mode="json"))


def settings_key(plans: Plans, row: Row) -> str:
    """Of all that decides how an arm trains, but the seed and the number of steps."""
    params, arm = plans.params(row), row.arm
    values = params.model_dump(mode="json", include=set(SHARED))
    values["model"]["unet"] = _as_of_old(values["model"]["unet"])
    if arm.trains != "nothing":
        without = {"steps"} if params.model.stochastic else {"steps", "sampling"}
        values |= getattr(params, arm.section).model_dump(mode="json", exclude=without)
    return digest(data_key(params), values, arm.trains, arm.divergence_weight, sha256_file(plans.start))


def training_key(plans: Plans, row: Row, steps: int) -> str:
    """Of one training: all that its weights follow from, but the code."""
    return digest(settings_key(plans, row), row.seed, steps)


def row_key(plans: Plans, row: Row, steps: int) -> str:
    """Of one row: its training, and what is measured of it."""
    measured = [plans.study.images]
    if plans.study.passes:
        measured.append(plans.study.passes.model_dump(mode="json"))
    return digest(training_key(plans, row, steps), *measured)


def _as_of_old(unet: dict[str, object]) -> dict[str, object]:
    """Without what a U-Net always was before it could be set, so that rows from then keep their key."""
    return {name: value for name, value in unet.items() if NOT_SAID_OF_UNET.get(name) != value}

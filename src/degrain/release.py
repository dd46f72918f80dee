"""Make the generators of this pipeline those that come with the package.

    python -m degrain.release             # after `dvc repro`: both ends
    python -m degrain.release --faithful  # after `dvc repro pretrain`: a leg that another one follows
    python -m degrain.release --realistic # after the stage train, on from the released faithful weights
    python -m degrain.release --sampling  # after the stage train, with model.stochastic

A long training is made of legs: each starts from the weights that the one before it released
(pretrain.start: auto), and legs.json beside the weights lists them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from degrain.build.generator import load_generator, read_description, save_generator
from degrain.build.released import END_POINTS, LEGS, End, released_for, released_path
from degrain.errors import DegrainError
from degrain.files import sha256_file, write_json
from degrain.noise_params import NoiseSection
from degrain.params import Params, load_params
from degrain.restorers import sampling_path
from degrain.tracking.history import training_effort
from degrain.training_params import Optimisation

STAGES: dict[End, str] = {"faithful": "pretrain", "realistic": "train"}


def main() -> None:
    """Write the weights in float16 and add a leg to the list."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--faithful", action="store_true", help="only what the pixel loss trained")
    only.add_argument("--realistic", action="store_true", help="only what came after it, in the last leg")
    only.add_argument(
        "--sampling", action="store_true", help="a generator that takes noise z, to draw samples"
    )
    options = parser.parse_args()
    try:
        if options.realistic:
            leg = release_realistic(load_params())
        elif options.sampling:
            leg = release_sampling(load_params())
        else:
            leg = release(load_params(), ends=("faithful",) if options.faithful else END_POINTS)
    except DegrainError as error:
        sys.exit(f"degrain.release: {error}")
    print(json.dumps(leg, indent=2))


def release(
    params: Params, *, models: Path = Path("models"), ends: Sequence[End] = END_POINTS
) -> dict[str, Any]:
    """Take the generators that `models` holds as the released ones; returns the leg that is added.

    ends : which, the faithful one among them; the other's weights stay, and are then of another training. So
        do those that draw samples, until `release_sampling` gets new ones that went on from this leg.

    Raises
    ------
    DegrainError : one of them takes noise z, or is another network than the params say.
    """
    channels = params.data.channels
    for end in ends:
        _check(_trained(end, models), params, stochastic=False)
    started_from, legs = _earlier(params)
    leg: dict[str, Any] = {
        "started_from": started_from,
        **_learned_from(params),
    }
    for end in ends:
        leg[end] = _take(end, params, models)
    write_json(LEGS, {**_read_legs(), _name(channels): [*legs, leg]})
    return leg


def release_realistic(params: Params, *, models: Path = Path("models")) -> dict[str, Any]:
    """Take the adversarial generator that `models` holds as the released realistic one.

    Returns the last leg, in which it takes the place of the one before it.

    Raises
    ------
    DegrainError : the pretrained generator beside it is not the released one, or learned from something else.
    """
    name, channels = _name(params.data.channels), params.data.channels
    _check(_trained("realistic", models), params, stochastic=False)
    legs, start = _read_legs().get(name, []), models / "pretrain/generator.safetensors"
    if not (legs and _alike(start, released_path("faithful", channels))):
        msg = f"{start}: expected the weights of faithful-{name}.safetensors, for both are ends of one dial"
        raise DegrainError(msg)
    for what, mine in json.loads(json.dumps(_learned_from(params))).items():
        if legs[-1][what] != mine:
            msg = f"{what} = {mine}; expected {legs[-1][what]}, which the faithful weights learned from"
            raise DegrainError(msg)
    legs[-1]["realistic"] = _take("realistic", params, models)
    write_json(LEGS, {**_read_legs(), name: legs})
    return legs[-1]


def release_sampling(params: Params, *, models: Path = Path("models")) -> dict[str, Any]:
    """Take the stochastic generator that `models` holds as the one that comes with the package.

    Returns the last leg, whose faithful weights it went on from; what trained it stands there by itself.

    Raises
    ------
    DegrainError : it takes no noise z, is another network than the params say, or the params do not go on
        from the released weights.
    """
    name, channels = _name(params.data.channels), params.data.channels
    legs, trained = _read_legs().get(name, []), models / "train/generator.safetensors"
    _check(trained, params, stochastic=True)
    if params.pretrain.start == "none" or not (legs and released_for(params.model, channels)):
        msg = (
            f"pretrain.start = {params.pretrain.start}, of {params.model.in_use}; expected auto and the "
            f"network of faithful-{name}.safetensors, which samples go on from"
        )
        raise DegrainError(msg)
    pretrained = models / "pretrain/generator.safetensors"
    legs[-1]["sampling"] = {
        **{what: value for what, value in _learned_from(params).items() if what != "model"},
        "pretrain": _training(params.pretrain, pretrained, params),
        **_write(trained, sampling_path(channels), params.train, params),
    }
    write_json(LEGS, {**_read_legs(), name: legs})
    return legs[-1]


def _trained(end: End, models: Path) -> Path:
    return models / STAGES[end] / "generator.safetensors"


def _check(trained: Path, params: Params, *, stochastic: bool) -> None:
    """Before anything is written: that a generator is what the params say, and takes noise z or does not."""
    model, channels = read_description(trained)
    if (model.in_use, channels) != (params.model.in_use, params.data.channels):
        msg = (
            f"{trained}: {model.in_use} of {channels} channels; expected what params.yaml says, "
            f"{params.model.in_use} of {params.data.channels}: dvc repro trains it"
        )
        raise DegrainError(msg)
    if stochastic and not model.stochastic:
        msg = f"{trained}: takes no noise z; expected one that was trained with model.stochastic: true"
        raise DegrainError(msg)
    if model.stochastic and not stochastic:
        msg = f"{trained}: takes noise z, so it is no end of the dial; expected --sampling"
        raise DegrainError(msg)


def _take(end: End, params: Params, models: Path) -> dict[str, Any]:
    """Write an end in half precision; returns how it was trained."""
    settings = getattr(params, STAGES[end])
    return _write(_trained(end, models), released_path(end, params.data.channels), settings, params)


def _write(trained: Path, released: Path, settings: Optimisation, params: Params) -> dict[str, Any]:
    """Write a generator in half precision; returns how it was trained."""
    network, channels = load_generator(trained)
    save_generator(released, network.half(), read_description(trained)[0], channels)
    return _training(settings, trained, params) | {"sha256": sha256_file(released)}


def _learned_from(params: Params) -> dict[str, Any]:
    """The network, and what it was shown."""
    return {
        "model": params.model.in_use,
        "data": {"train": params.data.train, "manifest_sha256": sha256_file(Path("data/raw/manifest.csv"))},
        "noise": _noise(params.noise),
        "patches": params.patches.model_dump(mode="json"),
        "augment": params.augment.model_dump(mode="json"),
    }


def _alike(one: Path, other: Path) -> bool:
    """Whether two generators are the same in half precision."""
    weights = [load_generator(path)[0].half().state_dict() for path in (one, other)]
    return weights[0].keys() == weights[1].keys() and all(
        torch.equal(value, weights[1][name]) for name, value in weights[0].items()
    )


def _training(settings: Optimisation, trained: Path, params: Params) -> dict[str, Any]:
    """What one stage did."""
    pixels = settings.steps * settings.batch_size * settings.patch_size**2
    return {
        "megapixels_seen": round(pixels / 1e6),
        **training_effort(trained, params.tracking.experiment),
        "settings": settings.model_dump(mode="json"),
    }


def _noise(noise: NoiseSection) -> dict[str, Any]:
    """The kind and its settings."""
    settings = {} if noise.kind == "pairs" else noise.settings(noise.kind).model_dump(mode="json")
    return {"kind": noise.kind, **settings}


def _earlier(params: Params) -> tuple[str | None, list[dict[str, Any]]]:
    """The weights that this leg went on from, and the legs before it; none if it began from nothing."""
    if params.pretrain.start == "none" or not released_for(params.model, params.data.channels):
        return None, []
    legs: list[dict[str, Any]] = _read_legs()[_name(params.data.channels)]
    return legs[-1]["faithful"]["sha256"], legs


def _read_legs() -> dict[str, list[dict[str, Any]]]:
    legs: dict[str, list[dict[str, Any]]] = (
        json.loads(LEGS.read_text(encoding="utf-8")) if LEGS.exists() else {}
    )
    return legs


def _name(channels: int) -> str:
    return "colour" if channels == 3 else "grey"


if __name__ == "__main__":
    main()

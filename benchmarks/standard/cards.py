"""Model cards of the released generators, from the list of their legs and the figures measured."""

from __future__ import annotations

import json
from collections.abc import Container
from pathlib import Path
from typing import Any

import pandas as pd

from degrain.build.released import LEGS, WEIGHTS
from degrain.files import write_text
from degrain.standard_sets import STANDARD_SETS

ENDS = {"faithful": "degrain", "realistic": "degrain_adversarial"}
RELEASED = (*ENDS, "sampling")
SETS = {"grey": ("set12", "bsd68"), "colour": ("cbsd68",)}
DIAL = {
    "dial": ("dial", "g"),
    "psnr": ("PSNR, dB", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "feature_distance": ("feature distance", ".4f"),
    "unrounded_feature_distance": ("the same, not rounded to 8 bits", ".4f"),
    "frechet_distance": ("Frechet distance", ".1f"),
    "spectrum_distance": ("spectrum distance, dB", ".2f"),
}
SAMPLING = {key: DIAL[key] for key in DIAL if key not in ("dial", "unrounded_feature_distance")} | {
    "two_sample_accuracy": ("told from clean", ".3f")
}

TEMPLATE = Path(__file__).with_name("card.md")


def write_cards(reports: Path) -> None:
    """Write `<name>.md` beside the weights for every generator that has been released.

    Parameters
    ----------
    reports : has quality.csv (see `benchmarks.standard`), dial.csv (see `benchmarks.dial`), sampling.csv and
        sampling/ (see `benchmarks.sampling`).
    """
    quality, dial, sampling = (
        pd.read_csv(reports / f"{name}.csv") for name in ("quality", "dial", "sampling")
    )
    legs = json.loads(LEGS.read_text(encoding="utf-8")) if LEGS.exists() else {}
    for name, those in legs.items():
        summary = json.loads((reports / "sampling" / name / "summary.json").read_text(encoding="utf-8"))
        samples = _samples(those[-1], sampling[sampling["set"] == SETS[name][-1]], summary)
        write_text(WEIGHTS / f"{name}.md", _card(name, those, quality, dial, samples))


def _card(
    name: str, legs: list[dict[str, Any]], quality: pd.DataFrame, dial: pd.DataFrame, samples: str
) -> str:
    last = legs[-1]
    weights = _weights(last)
    ends = {end: weights[end] for end in ENDS if end in weights}
    return TEMPLATE.read_text(encoding="utf-8").format(
        name=name,
        network=_network(last["model"]),
        results=_results(name, quality, ends),
        dial_set=SETS[name][-1].upper(),
        dial=_dial(dial[dial["set"] == SETS[name][-1]], list(ends.values())),
        samples=samples,
        train=", ".join(last["data"]["train"]),
        manifest=last["data"]["manifest_sha256"],
        licences="; ".join(STANDARD_SETS[one].licence for one in last["data"]["train"]),
        patches=_settings(last["patches"]),
        legs=_legs(legs),
        files="\n".join(f"- `{end}-{name}.safetensors`: sha256 `{sha}`" for end, sha in weights.items()),
    )


def _weights(leg: dict[str, Any]) -> dict[str, str]:
    """The sha256 of all that a leg has released."""
    return {what: leg[what]["sha256"] for what in RELEASED if what in leg}


def _network(model: dict[str, Any]) -> str:
    widths, blocks = ("/".join(map(str, model[key])) for key in ("widths", "blocks"))
    stride = model["stem_stride"]
    finest = f", the finest of them at 1/{stride} of the image's sides" if stride > 1 else ""
    turns = ", which restores a turned or mirrored image alike" if model["equivariant"] else ""
    return f"a U-Net of {widths} channels with {blocks} residual blocks at its scales{finest}{turns}"


def _results(name: str, quality: pd.DataFrame, ends: Container[str]) -> str:
    lines = ["| set | weights | sigma 15 | sigma 25 | sigma 50 |", "| --- | --- | ---: | ---: | ---: |"]
    for one in SETS[name]:
        for end, method in ENDS.items():
            if end not in ends:
                continue
            rows = quality[(quality["set"] == one) & (quality["method"] == method)].sort_values("sigma")
            cells = [f"{row['psnr']:.2f} / {row['ssim']:.3f}" for _, row in rows.iterrows()]
            lines.append(f"| {one} | {end} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _dial(curve: pd.DataFrame, weights: list[str]) -> str:
    if len(weights) < len(ENDS) or not (curve[list(ENDS)] == weights).all(axis=None):
        return "These weights have not been measured yet."
    lines = [
        f"| {' | '.join(title for title, _ in DIAL.values())} |",
        f"| {' | '.join('---:' for _ in DIAL)} |",
    ]
    for _, row in curve.iterrows():
        lines.append(f"| {' | '.join(format(row[name], form) for name, (_, form) in DIAL.items())} |")
    return "\n".join(lines)


def _samples(last: dict[str, Any], rows: pd.DataFrame, summary: dict[str, Any]) -> str:
    """How the generator that draws samples was trained, and what was measured of it."""
    if "sampling" not in last:
        return "No generator that draws samples belongs to these weights."
    leg, weights = last["sampling"], _weights(last)
    trained = (
        f"On from the faithful weights: {_effort(leg['pretrain'])} of the pixel loss, then {_effort(leg)} "
        f"against a discriminator ({_noise(leg['noise'])}; {_settings(leg['patches'])}; sha256 of the "
        f"manifest {leg['data']['manifest_sha256'][:12]})."
    )
    measured = len(weights) == len(RELEASED) and (rows[list(weights)] == pd.Series(weights)).all(axis=None)
    if rows.empty or not measured:
        return f"{trained}\n\nThey have not been measured yet."
    table = [
        ["restoration", *(title for title, _ in SAMPLING.values())],
        ["---", *["---:" for _ in SAMPLING]],
    ]
    table += [
        [row["restoration"], *(format(row[key], form) for key, (_, form) in SAMPLING.items())]
        for _, row in rows.iterrows()
    ]
    psnr = {key: value["psnr"] for key, value in summary.items() if isinstance(value, dict)}
    means = ", ".join(f"{key.replace('_', ' ')} {value:.2f} dB" for key, value in psnr.items())
    return "\n".join(
        [
            trained,
            "",
            *(f"| {' | '.join(cells)} |" for cells in table),
            "",
            f"On {summary['images']} images spread over them: {means}; the squared error that the samples "
            f"predict is {summary['variance_ratio']:.2f} of the real one.",
        ]
    )


def _legs(legs: list[dict[str, Any]]) -> str:
    """A table: what each leg did, and on which weights it went on."""
    lines = [
        "| leg | from | noise | pixel loss alone | adversarial | pixel loss: settings |",
        "| ---: | --- | --- | ---: | ---: | --- |",
    ]
    for number, leg in enumerate(legs, 1):
        began = f"`{leg['started_from'][:12]}`" if leg["started_from"] else "nothing"
        cells = [_effort(leg.get(end)) for end in ENDS]
        lines.append(
            f"| {number} | {began} | {_noise(leg['noise'])} | {' | '.join(cells)} "
            f"| {_settings(leg['faithful']['settings'])} |"
        )
    return "\n".join(lines)


def _effort(end: dict[str, Any] | None) -> str:
    if not end:
        return ""
    where = end["engine"]
    if where.startswith("cpu"):
        where += f", {end['threads']} thread{'s' * (end['threads'] > 1)}"
    remark = f" ({end['remark']})" if "remark" in end else ""
    return f"{end['megapixels_seen']} Mpx, {end['minutes']} min on {where}{remark}"


def _noise(noise: dict[str, Any]) -> str:
    train = noise["train"]
    levels = train if isinstance(train, list) else [train]
    return f"{noise['kind']}, sigma {'-'.join(f'{level:g}' for level in levels)}"


def _settings(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {json.dumps(value).strip(chr(34))}" for key, value in values.items())

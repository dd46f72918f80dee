"""Model cards of the released generators, from the list of their legs and the figures measured."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from degrain.build.released import LEGS, WEIGHTS
from degrain.files import write_text

ENDS = {"faithful": "degrain", "realistic": "degrain_adversarial"}
SETS = {"grey": ("set12", "bsd68"), "colour": ("cbsd68",)}

TEMPLATE = """# Released generator: {name}

Two weights of one network, a U-Net of {widths} channels with {blocks} residual blocks at its scales. Both take a
{name} image in [0, 1] and the standard deviation of its noise, for Gaussian noise of sigma 0-75 of 255.

- `faithful-{name}.safetensors`: trained on a pixel loss alone; nearest to the clean pixels.
- `realistic-{name}.safetensors`: trained on from there against a discriminator; livelier, and some hundredths to tenths
  of a decibel further away.

In float16; computed in float32 or bfloat16. `degrain denoise` uses them: `--model faithful` (the default) and
`--model realistic`.

## Results

PSNR in dB / SSIM, Gaussian noise neither clipped nor rounded, one pass, {engine}; measured by `make benchmark`.

{results}

## Training

Data: {train} ({manifest} is the sha256 of its manifest). BSD68 and CBSD68 are of the *val* folder of BSDS500, which took no
part; the images that validated did not train. Noise: {noise}. Patches: {patches}.

{legs}

The last leg again: `degrain preset {name}-benchmark`, then `dvc repro`; then `python -m degrain.release`.

## Limits

- Trained on white Gaussian noise. Noise of cameras is correlated, depends on brightness and has been through
  demosaicing, sharpening and JPEG: there these weights smooth too little or too much. Train on your own noise.
- {train} are {name} photographs of half a megapixel and less, of people, animals, buildings, landscapes: on
  microscopy, scans, text or very large photographs they do less well than weights trained on such images.
- The restoration of strong noise is a guess. Fine detail may be missing or (more so in `realistic`) invented: do not
  measure on it, nor identify anybody by it.

## Files

{files}
"""


def write_cards(quality: pd.DataFrame) -> None:
    """Write `<name>.md` beside the weights for every generator that has been released."""
    legs = json.loads(LEGS.read_text(encoding="utf-8")) if LEGS.exists() else {}
    for name, those in legs.items():
        write_text(WEIGHTS / f"{name}.md", _card(name, those, quality))


def _card(name: str, legs: list[dict[str, Any]], quality: pd.DataFrame) -> str:
    last = legs[-1]
    unet = last["model"]["unet"]
    return TEMPLATE.format(
        name=name,
        widths="/".join(map(str, unet["widths"])),
        blocks="/".join(map(str, unet["blocks"])),
        engine=last["engine"],
        results=_results(name, quality),
        train=", ".join(last["data"]["train"]),
        manifest=last["data"]["manifest_sha256"],
        noise=_settings(last["noise"]),
        patches=_settings(last["patches"]),
        legs=_legs(legs),
        files="\n".join(f"- `{end}-{name}.safetensors`: sha256 `{last[end]['sha256']}`" for end in ENDS),
    )


def _results(name: str, quality: pd.DataFrame) -> str:
    lines = ["| set | weights | sigma 15 | sigma 25 | sigma 50 |", "| --- | --- | ---: | ---: | ---: |"]
    for one in SETS[name]:
        for end, method in ENDS.items():
            rows = quality[(quality["set"] == one) & (quality["method"] == method)].sort_values("sigma")
            cells = [f"{row['psnr']:.2f} / {row['ssim']:.3f}" for _, row in rows.iterrows()]
            lines.append(f"| {one} | {end} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _legs(legs: list[dict[str, Any]]) -> str:
    """A table: what each leg did, and on which weights it went on."""
    lines = [
        "| leg | from | pixel loss: Mpx seen, minutes | adversarial: Mpx seen, minutes | settings of the pixel loss |",
        "| ---: | --- | ---: | ---: | --- |",
    ]
    for number, leg in enumerate(legs, 1):
        began = f"`{leg['started_from'][:12]}`" if leg["started_from"] else "nothing"
        cells = [f"{leg[end]['megapixels_seen']}, {leg[end]['minutes']}" for end in ENDS]
        lines.append(
            f"| {number} | {began} | {' | '.join(cells)} | {_settings(leg['faithful']['settings'])} |"
        )
    return "\n".join(lines)


def _settings(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {json.dumps(value).strip(chr(34))}" for key, value in values.items())

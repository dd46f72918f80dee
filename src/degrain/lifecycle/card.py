"""The model card: what a version was made from, what it can do, where it fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import yaml

from degrain.build.generator import load_generator
from degrain.evaluation.pictures import draw_comparison, restored_image
from degrain.evaluation.tables import markdown_table
from degrain.lifecycle.evaluated import METHOD, RESTORED, WEIGHTS, Evaluated
from degrain.params import Params
from degrain.tracking.registry import Version

WORST = 5
FEW_IMAGES = 30
SECTIONS = ("seed", "compute", "data", "patches", "augment", "pretrain", "train")


def write_card(path: Path, evaluated: Evaluated, params: Params, version: Version) -> str:
    """Write the card, and beside it, in `worst/`, the pictures of the five worst images.

    Returns
    -------
    The card without pictures, and the params last, for a place that shows only its beginning.
    """
    worst = worst_images(evaluated.results)
    pictures = list(_draw(worst, evaluated, path.parent / "worst", zoom_px=params.evaluate.zoom_px))
    parts = [_head(evaluated, params, version), _results(evaluated), _table_of(worst)]
    rest = [_limits(evaluated, params), _data(evaluated, params), _settings(evaluated, params)]
    path.write_text("\n".join([*parts, *pictures, *rest]), encoding="utf-8")
    return "\n".join([*parts, *rest])


def worst_images(results: pd.DataFrame) -> pd.DataFrame:
    """The five images that the model restores worst, each at its worst level: name, level, psnr, ssim."""
    ours = results[results["method"] == METHOD]
    return ours.sort_values("psnr").drop_duplicates("name").head(WORST)[["name", "level", "psnr", "ssim"]]


def _head(evaluated: Evaluated, params: Params, version: Version) -> str:
    network, channels = load_generator(WEIGHTS)
    weights = sum(weight.numel() for weight in network.parameters())
    kind = "grey images" if channels == 1 else "colour images"
    commit = version.tags.get("git.commit", "not known")
    changed = ", with changes that were not committed" if version.tags.get("git.dirty") == "true" else ""
    noise = params.noise.kind
    return f"""# {version}

Denoises {kind}: a generator `{params.model.generator}` of {weights:,} weights, trained
on a pixel loss and then against a discriminator, for noise of the kind `{noise}`.

- weights: SHA-256 `{evaluated.sha256}`, {WEIGHTS.stat().st_size / 1e6:.1f} MB, safetensors
- code: git commit `{commit}`{changed}
- run: `{version.run_id}`
"""


def _results(evaluated: Evaluated) -> str:
    images = evaluated.test.rows["name"].nunique()
    return f"""## Results

PSNR in dB / SSIM, means over {images} test images that never trained; test files `{evaluated.test_sha256}`.

{markdown_table(evaluated.summary)}"""


def _table_of(worst: pd.DataFrame) -> str:
    rows = "".join(
        f"| {row['name']} | {row['level']} | {row['psnr']:.2f} | {row['ssim']:.3f} |\n"
        for row in worst.to_dict("records")
    )
    head = "| image | level | PSNR, dB | SSIM |\n| --- | --- | ---: | ---: |\n"
    return f"## The worst images, each at its worst level\n\n{head}{rows}"


def _draw(worst: pd.DataFrame, evaluated: Evaluated, folder: Path, *, zoom_px: int) -> Iterator[str]:
    """Draw each; yields the lines that show the pictures."""
    wanted = set(zip(worst["name"], worst["level"], strict=True))
    for pair in evaluated.test:
        if (pair.name, pair.level) in wanted:
            restored = restored_image(RESTORED, pair.level, METHOD, pair.name)
            file = f"{pair.name}_{pair.level}.png"
            images = {"noisy": pair.noisy, "restored": restored, "clean": pair.clean}
            draw_comparison(images, folder / file, zoom_px=zoom_px)
            yield f"![{pair.name}, {pair.level}: noisy, restored, clean](worst/{file})\n"


def _limits(evaluated: Evaluated, params: Params) -> str:
    images = evaluated.test.rows["name"].nunique()
    limits = [
        f"Learned noise of the kind `{params.noise.kind}` alone, at the levels under `noise`; other noise is "
        "another task.",
        "Learned 8-bit images.",
        "Adversarial training invents texture where the noise has hidden it: not for measurements, diagnosis "
        "or evidence.",
        "An image that is all but clean loses more than it gains.",
    ]
    if images < FEW_IMAGES:
        limits.append(f"The test set has {images} images: other images may give other figures.")
    return "## Limits\n\n" + "".join(f"- {limit}\n" for limit in limits)


def _data(evaluated: Evaluated, params: Params) -> str:
    sets = "".join(f"- {split}: {', '.join(names)}\n" for split, names in params.data.sets().items())
    hashes = "".join(f"- `{path}`: md5 `{md5}` (DVC)\n" for path, md5 in evaluated.data_md5().items())
    return f"## Data\n\n{sets}{hashes}"


def _settings(evaluated: Evaluated, params: Params) -> str:
    values = params.model_dump(mode="json")
    used = {name: values[name] for name in SECTIONS}
    used["model"] = {**params.model.in_use}
    used["noise"] = {"kind": params.noise.kind}
    if params.noise.kind != "pairs":
        used["noise"] |= params.noise.settings(params.noise.kind).model_dump(mode="json")
    text = yaml.safe_dump(used, sort_keys=False)
    return f"## Params\n\nSHA-256 of those in dvc.lock: `{evaluated.params_sha256()}`\n\n```yaml\n{text}```\n"

"""The realism of what the last evaluation restored, as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from degrain.errors import DegrainError
from degrain.evaluation.realism import PairMeasure, Values, measure_realism, read_pairs
from degrain.evaluation.tables import LEARNED, TITLES, Summary, best_filter
from degrain.features import Backbone
from degrain.files import sha256_file, write_json, write_text

Levels = dict[str, dict[str, Values]]

HEADINGS = {
    "psnr": "PSNR, dB",
    "ms_ssim": "MS-SSIM",
    "gmsd": "GMSD",
    "spectrum_distance": "spectrum distance, dB",
    "feature_distance": "feature distance",
    "frechet_distance": "Frechet distance",
    "lpips": "LPIPS",
    "two_sample_accuracy": "two-sample accuracy",
}
MEANING = """\
More is better for PSNR and MS-SSIM, less for GMSD, which compares edges, and for the distances to the clean
images: of their power spectra, of what EfficientNet-Lite2 sees in each, and (Frechet) of what it sees in
small patches, of all images together. Two-sample accuracy is how often a fresh network, taught on the other
images, tells restored patches from clean ones by how pixels differ from those around them: 0.5, no better
than guessing, is perfect in that; brightness and tint are not seen.
"""


def report_realism(
    restored: Path, clean: Path, reports: Path, *, judge: Backbone | None, lpips: PairMeasure | None = None
) -> str:
    """Measure the noisy images, the best filter and both generators at every level, and write the report.

    Parameters
    ----------
    restored : holds <level>/<method>/<name>.png; clean : holds <name>.png.
    reports : has the evaluation's metrics.json and results.csv; gets realism.json and realism.md.
    judge, lpips : see `measure_realism`.

    Returns
    -------
    What stands in realism.md.

    Raises
    ------
    DegrainError : there has been no evaluation.
    """
    metrics = reports / "metrics.json"
    if not (metrics.is_file() and restored.is_dir()):
        msg = f"{metrics}, {restored}: no results yet; run `make repro` (or `dvc repro`) first"
        raise DegrainError(msg)
    methods = compared(json.loads(metrics.read_text(encoding="utf-8"))["methods"])
    levels: Levels = {level: {} for level in methods}
    tasks = [(level, name) for level, names in methods.items() for name in names]
    for level, name in (bar := tqdm(tasks, desc="realism", unit="method")):
        bar.set_postfix_str(f"{level} {name}")
        pairs = read_pairs(restored / level / name, clean)
        levels[level][name] = measure_realism(*pairs, judge=judge, lpips=lpips)
    write_json(
        reports / "realism.json", {"results_sha256": sha256_file(reports / "results.csv"), "levels": levels}
    )
    text = "\n".join([MEANING, *(_section(level, values) for level, values in levels.items())])
    write_text(reports / "realism.md", text)
    return text


def compared(summary: Summary) -> dict[str, list[str]]:
    """Which methods are compared at each level: the noisy image, the best filter, the generators."""
    return {level: ["noisy", best_filter(summary, level), *LEARNED] for level in summary["noisy"]}


def realism_table(rows: Mapping[str, Values]) -> str:
    """A Markdown table: methods down, measures across."""
    measures = [name for name in HEADINGS if any(name in values for values in rows.values())]
    lines = [["method", *(HEADINGS[name] for name in measures)], ["---", *["---:" for _ in measures]]]
    lines += [[title, *(_cell(values, name) for name in measures)] for title, values in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _section(level: str, values: Mapping[str, Values]) -> str:
    return f"## {level.replace('_', ' ')}\n\n" + realism_table(
        {TITLES[name]: values[name] for name in values}
    )


def _cell(values: Values, name: str) -> str:
    return f"{values[name]:g}" if name in values else ""

"""The files of an evaluation: metrics, speeds, table, pictures."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from degrain.compute import Engine
from degrain.data.noisy import NoisySet
from degrain.errors import DegrainError
from degrain.evaluation.pictures import draw_comparison, restored_image
from degrain.evaluation.tables import (
    TITLES,
    Summary,
    best_filter,
    markdown_table,
    speeds,
    summarise,
    with_speeds,
)
from degrain.files import sha256_bytes, write_csv, write_json, write_text


def write_results(results: pd.DataFrame, reports: Path, *, bm3d: Path, test: NoisySet) -> Summary:
    """Write the per-image table, the summary and the table for people; returns the summary.

    BM3D's figures, measured by a command of its own, join the table where they are of the same
    test images.
    """
    summary = summarise(results)
    rounded = results.drop(columns=["seconds", "pixels"]).round({"psnr": 4, "ssim": 6})
    write_csv(reports / "results.csv", rounded)
    write_json(reports / "metrics.json", {"methods": summary})
    write_text(reports / "table.md", markdown_table(summary | read_bm3d(bm3d, test)["methods"]))
    return summary


def read_bm3d(path: Path, test: NoisySet) -> dict:  # type: ignore[type-arg]
    """What `python -m degrain.bm3d` wrote, or nothing if it was of other test images."""
    measured = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    same = measured.get("test_sha256") == test_sha256(test)
    return measured if same else {"methods": {}, "mpx_per_s": {}}


def test_sha256(test: NoisySet) -> str:
    """One hash of all noisy test images."""
    lines = sorted(f"{row.name} {row.level} {row.sha256}" for row in test.rows.itertuples())
    return sha256_bytes("\n".join(lines).encode())


def write_speeds(path: Path, results: pd.DataFrame, engine: Engine, threads: int, model_sha256: str) -> None:
    """Write megapixels a second, unless there are figures already of this model on this machine.

    Timings differ from run to run; kept figures let a repeated run leave no change behind.
    """
    setting = {
        "processor": _processor(),
        "engine": str(engine),
        "threads": threads,
        "model_sha256": model_sha256,
    }
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if known.get("setting") != setting:
        write_json(path, {"setting": setting, "mpx_per_s": speeds(results)})


def result_table(reports: Path) -> str:
    """The results of the last evaluation with the speeds, as Markdown.

    Raises
    ------
    DegrainError : there has been none.
    """
    path = reports / "table.md"
    if not path.exists():
        msg = f"{path}: no results yet; run `make repro` (or `dvc repro`) first"
        raise DegrainError(msg)
    speed: dict[str, float] = {}
    for timed in (reports / "speed.json", reports / "bm3d.json"):
        if timed.exists():
            speed |= json.loads(timed.read_text(encoding="utf-8"))["mpx_per_s"]
    return with_speeds(path.read_text(encoding="utf-8"), speed)


def _processor() -> str:
    """The processor's model as Linux names it; elsewhere as Python does."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", info.read_text(encoding="utf-8")) if info.exists() else []
    return names[0] if names else platform.processor()


def draw_pictures(
    test: NoisySet, summary: Summary, restored: Path, folder: Path, *, zoom_px: int
) -> dict[str, Path]:
    """Draw a comparison for every test image at the middle level; name to file."""
    level = test.levels[len(test.levels) // 2]
    shown = ["noisy", best_filter(summary, level), "pretrained", "adversarial"]
    drawn = {}
    for pair in test:
        if pair.level == level:
            images = {_title(name): restored_image(restored, level, name, pair.name) for name in shown}
            drawn[pair.name] = folder / f"{pair.name}_{level}.png"
            draw_comparison(images | {"clean": pair.clean}, drawn[pair.name], zoom_px=zoom_px)
    return drawn


def _title(name: str) -> str:
    return TITLES[name].replace("*", "")


def flat_metrics(summary: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, float]:
    """{"unet": {"sigma_25": {"psnr": 1.0}}} as {"psnr/sigma_25/unet": 1.0}, as MLflow groups them."""
    return {
        f"{measure}/{level}/{method}": value
        for method, levels in summary.items()
        for level, measures in levels.items()
        for measure, value in measures.items()
    }

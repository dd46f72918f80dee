"""The files of an evaluation: metrics, speeds, table, pictures."""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path

import pandas as pd

from degrain.compute import Engine
from degrain.data.noisy import NoisySet
from degrain.evaluation.pictures import draw_comparison, restored_image
from degrain.evaluation.tables import (
    TITLES,
    Summary,
    best_filter,
    markdown_table,
    speeds,
    summarise,
)
from degrain.files import sha256_bytes, write_csv, write_json, write_text
from degrain.tracking import Run


def write_results(results: pd.DataFrame, reports: Path, test: NoisySet) -> Summary:
    """Write the per-image table, the summary and the table for people; returns the summary.

    BM3D's figures, measured by a command of its own, join the table where they are of the same
    test images.
    """
    summary = summarise(results)
    rounded = results.drop(columns=["seconds", "pixels"]).round({"psnr": 4, "ssim": 6})
    write_csv(reports / "results.csv", rounded)
    write_json(reports / "metrics.json", {"methods": summary})
    write_text(
        reports / "table.md", markdown_table(summary | read_bm3d(reports / "bm3d.json", test)["methods"])
    )
    return summary


def read_bm3d(path: Path, test: NoisySet) -> dict:  # type: ignore[type-arg]
    """What `python -m degrain.bm3d` wrote, or nothing if it was of other test images."""
    measured = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    same = measured.get("test_sha256") == identify_test_set(test.rows)
    return measured if same else {"methods": {}, "mpx_per_s": {}}


def identify_test_set(rows: pd.DataFrame) -> str:
    """Tell one test set from another: a hash over the name, level and sha256 of every noisy image.

    Parameters
    ----------
    rows : the test rows of data/noisy/manifest.csv, in any order.
    """
    lines = sorted(f"{row.name} {row.level} {row.sha256}" for row in rows.itertuples())
    return sha256_bytes("\n".join(lines).encode())


def write_speeds(
    reports: Path, results: pd.DataFrame, engine: Engine, threads: int, sha256: dict[str, str]
) -> None:
    """Write megapixels a second, unless there are figures already of the same things on this machine.

    Timings differ from run to run; kept figures let a repeated run leave no change behind.
    """
    setting = {
        "processor": _processor(),
        "engine": str(engine),
        "threads": threads,
        "sha256": sha256,
    }
    path = reports / "speed.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if known.get("setting") != setting:
        write_json(path, {"setting": setting, "mpx_per_s": speeds(results)})


def _processor() -> str:
    """The processor's model as Linux names it; elsewhere as Python does."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", info.read_text(encoding="utf-8")) if info.exists() else []
    return names[0] if names else platform.processor()


def draw_pictures(test: NoisySet, summary: Summary, restored: Path, folder: Path, *, zoom_px: int) -> None:
    """Draw a comparison for every test image at the middle level."""
    level = test.levels[len(test.levels) // 2]
    shown = ["noisy", best_filter(summary, level), "pretrained", "adversarial"]
    for pair in test:
        if pair.level == level:
            images = {_title(name): restored_image(restored, level, name, pair.name) for name in shown}
            path = folder / f"{pair.name}_{level}.png"
            draw_comparison(images | {"clean": pair.clean}, path, zoom_px=zoom_px)


def _title(name: str) -> str:
    return TITLES[name].replace("*", "")


def log_results(log: Run, results: pd.DataFrame, summary: Summary, reports: Path) -> None:
    """Show an evaluation in MLflow: figures, per-image table, files, pictures."""
    figures = {
        f"{measure}/{level}/{method}": value
        for method, levels in summary.items()
        for level, measures in levels.items()
        for measure, value in measures.items()
    }
    log.log_metrics(0, figures | {f"mpx_per_s/{name}": rate for name, rate in speeds(results).items()})
    log.log_table("results", results)
    names = ("table.md", "metrics.json", "results.csv", "speed.json")
    for path in (*(reports / name for name in names), *sorted((reports / "pictures").glob("*.png"))):
        log.log_artifact(path)

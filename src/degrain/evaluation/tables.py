"""Results as tables: one summary for machines, one for people.

Pandas is not imported, nor torch: `degrain table` ends every `make repro` and must not wait for them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from degrain.errors import DegrainError

if TYPE_CHECKING:
    import pandas as pd

Summary = dict[str, dict[str, dict[str, float]]]

TITLES = {
    "noisy": "noisy",
    "mean": "mean",
    "median": "median",
    "gaussian": "Gaussian",
    "bilateral": "bilateral",
    "total_variation": "total variation",
    "wavelet": "wavelet, BayesShrink",
    "non_local_means": "non-local means",
    "bm3d": "BM3D",
    "pretrained": "**degrain**, pixel loss",
    "adversarial": "**degrain**, adversarial",
}
LEARNED = ("pretrained", "adversarial")


def summarise(results: pd.DataFrame) -> Summary:
    """Means over the images: method, then level, then psnr and ssim, rounded to 4 digits."""
    means = results.groupby(["method", "level"], sort=False)[["psnr", "ssim"]].mean().round(4)
    summary: Summary = {}
    for row in means.reset_index().to_dict("records"):
        summary.setdefault(row["method"], {})[row["level"]] = {
            key: float(row[key]) for key in ("psnr", "ssim")
        }
    return summary


def speeds(results: pd.DataFrame) -> dict[str, float]:
    """Megapixels a second of each method, over all images and levels."""
    sums = results.groupby("method", sort=False)[["pixels", "seconds"]].sum()
    return {str(name): float(f"{row.pixels / 1e6 / row.seconds:.3g}") for name, row in sums.iterrows()}


def best_filter(summary: Summary, level: str) -> str:
    """The method with the highest PSNR at a level that was not learned."""
    filters = [name for name in summary if name not in (*LEARNED, "noisy", "bm3d")]
    return max(filters, key=lambda name: summary[name][level]["psnr"])


def markdown_table(summary: Summary) -> str:
    """Methods down, levels across: PSNR in dB / SSIM, the best of each level in bold."""
    levels = list(next(iter(summary.values())))
    rows = [["method", *(level.replace("_", " ") for level in levels)], ["---", *["---:" for _ in levels]]]
    for name in TITLES:
        if name in summary:
            rows.append([TITLES[name], *(_cell(summary, name, level) for level in levels)])
    return "".join(map(_line, rows))


def with_speeds(table: str, speed: Mapping[str, float]) -> str:
    """The table of `markdown_table` with a column more: megapixels a second."""
    by_title = {TITLES[name]: f"{rate:g}" for name, rate in speed.items() if name != "noisy"}
    by_title |= {"method": "Mpx/s", "---": "---:"}
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return "".join(_line([*cells, by_title.get(cells[0], "")]) for cells in rows)


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


def _cell(summary: Summary, name: str, level: str) -> str:
    best = {key: max(method[level][key] for method in summary.values()) for key in ("psnr", "ssim")}
    mine = summary[name][level]
    texts = {"psnr": f"{mine['psnr']:.2f}", "ssim": f"{mine['ssim']:.3f}"}
    return " / ".join(f"**{text}**" if mine[key] == best[key] else text for key, text in texts.items())


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"

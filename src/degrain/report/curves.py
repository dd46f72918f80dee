"""The curves of both trainings as one picture, with those of an earlier commit behind them."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from degrain.report.revisions import file_at
from degrain.sheet import DPI, save_sheet

FOLDER = Path("reports/curves")
# Of each training: its loss, and what it is measured by.
PANELS = (
    ("pretrain", "pixel", "pretrain: pixel loss"),
    ("pretrain", "val_psnr", "pretrain: validation PSNR, dB"),
    ("train", "discriminator", "train: loss of the discriminator"),
    ("train", "val_psnr", "train: validation PSNR, dB"),
)


def draw_curves(commit: str, path: Path) -> bool:
    """Draw reports/curves as PNG, the same bytes for the same curves; False if there are none.

    Parameters
    ----------
    commit : whose curves are drawn too, in grey.
    """
    now = {stage: _read(FOLDER / f"{stage}.csv") for stage, *_ in PANELS}
    if all(curves.empty for curves in now.values()):
        return False
    before = {stage: _read_at(commit, FOLDER / f"{stage}.csv") for stage in now}
    figure = Figure(figsize=(9.6, 5.4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    for axis, (stage, column, title) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        _draw(axis, before[stage], column, "before", "0.6")
        _draw(axis, now[stage], column, "now", "C0")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=8)
        if axis.lines:
            axis.legend(fontsize=8)
    save_sheet(figure, path)
    return True


def _draw(axis: Axes, curves: pd.DataFrame, column: str, label: str, colour: str) -> None:
    if column in curves:
        known = curves[["step", column]].dropna()
        axis.plot(known["step"], known[column], marker=".", label=label, color=colour)


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def _read_at(commit: str, path: Path) -> pd.DataFrame:
    content = file_at(commit, path)
    return pd.DataFrame() if content is None else pd.read_csv(io.BytesIO(content))

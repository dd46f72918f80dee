"""What images without labels are worth: the table of all draws, and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from degrain.generation.semi_supervised import ALONE, METHODS, WITH
from degrain.sheet import DPI, save_sheet

MEAN, SPREAD = "mean", "standard deviation"
COLOURS = {ALONE: "tab:orange", WITH: "tab:blue"}
LINES = {ALONE: "--", WITH: "-"}


def accuracy_table(curves: pd.DataFrame) -> pd.DataFrame:
    """Accuracy on the test images after the last step: a row a draw, then their mean and their spread.

    The spread is the standard deviation over the draws, for all draws there could be; empty of a single one.

    Parameters
    ----------
    curves : columns draw, method, step, accuracy.
    """
    last = curves.sort_values("step").groupby(["draw", "method"])["accuracy"].last().unstack()
    table = last[list(METHODS)].assign(gain=last[WITH] - last[ALONE])
    table.index = table.index.astype(str)
    both = pd.DataFrame({MEAN: table.mean(), SPREAD: table.std(ddof=1)}).T
    return pd.concat([table, both]).rename_axis("draw").reset_index()


def accuracy_summary(table: pd.DataFrame, labels_per_class: int) -> dict[str, Any]:
    """The figures of `reports/semi_supervised.json`."""
    mean, spread = (numbers(table, row) for row in (MEAN, SPREAD))
    return {
        "labels_per_class": labels_per_class,
        "draws": len(table) - 2,
        "accuracy": {name: round(mean[name], 4) for name in METHODS},
        "gain": round(mean["gain"], 4),
        "standard_deviation": {
            name: None if np.isnan(value) else round(value, 4) for name, value in spread.items()
        },
    }


def numbers(table: pd.DataFrame, row: str) -> dict[str, float]:
    """What stands in a row of `accuracy_table`, by column."""
    values = table[table["draw"] == row].drop(columns="draw").iloc[0]
    return {str(name): float(value) for name, value in values.items()}


def draw_accuracy(path: Path, curves: pd.DataFrame, table: pd.DataFrame) -> None:
    """Accuracy over the steps, a line a draw; at their end, every draw and the mean of both methods."""
    figure = Figure(figsize=(9, 4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(2, 1), sharey=True)
    for (_, method), rows in curves.groupby(["draw", "method"]):
        name = str(method)
        left.plot(rows["step"], rows["accuracy"], LINES[name], color=COLOURS[name], linewidth=1)
    for method in METHODS:
        left.plot([], [], LINES[method], color=COLOURS[method], label=method)
    left.set(xlabel="step", ylabel="accuracy on the test images")
    left.legend(loc="lower right")
    _draw_ends(right, table)
    save_sheet(figure, path)


def _draw_ends(axis: Axes, table: pd.DataFrame) -> None:
    """A point a draw, and a bar at the mean."""
    draws, mean = table[~table["draw"].isin([MEAN, SPREAD])], numbers(table, MEAN)
    for place, method in enumerate(METHODS):
        axis.plot([place] * len(draws), draws[method], "o", color=COLOURS[method], alpha=0.6)
        axis.hlines(mean[method], place - 0.2, place + 0.2, color=COLOURS[method], linewidth=2)
    for row in draws[list(METHODS)].to_numpy():
        axis.plot(range(len(METHODS)), row, color="grey", linewidth=0.5)
    axis.set_xticks(range(len(METHODS)), [method.replace(" ", "\n", 1) for method in METHODS])
    axis.set_xlim(-0.5, len(METHODS) - 0.5)
    axis.set_title("every draw, and the mean", fontsize=9)

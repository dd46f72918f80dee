"""The pictures of the report, as SVG to stand in a page."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from degrain.drift.features import FEATURES

REFERENCE, INCOMING = "#8a94a6", "#d9480f"
INK, PALE = "#1f2933", "#cbd2d9"
SIZE_IN = (3.6, 2.3)
BINS = 16


def distributions(feature: str, reference: pd.DataFrame, incoming: pd.DataFrame, *, drifted: bool) -> str:
    """How often the values of a feature occur, in the reference and in what came in."""
    title, unit = FEATURES[feature].title, FEATURES[feature].unit
    figure, axis = _figure(title + (" – drift" if drifted else ""))
    values = [table[feature].dropna().to_numpy() for table in (reference, incoming)]
    edges = _edges(np.concatenate(values))
    for part, colour, alpha in zip(values, (REFERENCE, INCOMING), (0.55, 0.5), strict=True):
        if len(part):
            share = np.full(len(part), 100 / len(part))
            axis.hist(part, edges, weights=share, color=colour, alpha=alpha)
            axis.axvline(float(np.median(part)), color=colour, linewidth=1.6)
    axis.set_xlabel(unit)
    axis.set_ylabel("% of images")
    return _svg(figure)


def against_brightness(reference: pd.DataFrame, incoming: pd.DataFrame) -> str:
    """The noise level of each image by its brightness."""
    figure, axis = _figure("noise level by brightness")
    for table, colour, label in ((reference, REFERENCE, "reference"), (incoming, INCOMING, "came in")):
        axis.scatter(
            table["brightness_255"], table["noise_255"], 14, colour, alpha=0.7, linewidths=0, label=label
        )
    axis.set_xlabel("brightness, of 255")
    axis.set_ylabel("noise, of 255")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, fontsize=8, handletextpad=0.2)
    return _svg(figure)


def _edges(values: NDArray[Any]) -> list[float]:
    """Of equal bins from the least value to the greatest; narrow ones where all are the same."""
    low, high = float(values.min()), float(values.max())
    margin = 0.02 * ((high - low) or abs(high) or 1)
    return list(np.linspace(low - margin, high + margin, BINS + 1))


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE_IN, layout="constrained")
    figure.patch.set_alpha(0)
    axis = figure.subplots()
    axis.set_title(title, fontsize=9.5, color=INK, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(PALE)
    axis.tick_params(colors=INK, color=PALE, labelsize=8)
    axis.patch.set_alpha(0)
    return figure, axis


def _svg(figure: Figure) -> str:
    """The element alone, without the headers of a file."""
    text = io.StringIO()
    # Text stays text: smaller, sharp, and found by a search.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "drift", "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]

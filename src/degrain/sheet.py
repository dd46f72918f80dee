"""Pictures side by side with titles, as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from degrain.files import atomic_write

Image = NDArray[np.float32]
Box = tuple[int, int, int]  # x, y, side in pixels

DPI = 100


def sheet(
    columns: int, row_ratios: Sequence[float], *, width_in: float, pad_in: float = 0.25
) -> tuple[Figure, Any]:
    """An empty figure of rows and columns of pictures.

    Parameters
    ----------
    row_ratios : height over width of each row's pictures.

    Returns
    -------
    The figure and its axes, an array (rows, columns).
    """
    cell = width_in / columns
    heights = [ratio * cell + pad_in for ratio in row_ratios]
    figure = Figure(figsize=(width_in, sum(heights)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(row_ratios), columns, squeeze=False, height_ratios=heights)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def draw(axis: Axes, image: Image, title: str = "", *, box: Box | None = None) -> None:
    """Show an image (H, W, C), clipped to [0, 1], and mark a box in it."""
    shown = np.clip(image, 0, 1)
    axis.imshow(shown.squeeze(2) if shown.shape[2] == 1 else shown, cmap="gray", vmin=0, vmax=1)
    if title:
        axis.set_title(title, fontsize=9, pad=3)
    if box:
        x, y, side = box
        axis.add_patch(Rectangle((x, y), side, side, fill=False, edgecolor="white", linewidth=1))


def save_sheet(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, with the same bytes for the same picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as aside:
        figure.savefig(aside, format="png", metadata={"Software": None})

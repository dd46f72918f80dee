"""The trade between faithfulness and realism, arm by arm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from degrain.sheet import save_sheet
from experiments.adversarial.arms import Study
from experiments.adversarial.tables import Rows, Spread, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Groups of arms that share a panel; the first arm that trains adversarially stands in all of them.
PANELS = (
    ("losses", ("references", "losses", "combinations")),
    ("stabilisers and discriminators", ("stabilisers", "discriminators")),
)
COLOURS = {
    "references": "black",
    "losses": "C0",
    "stabilisers": "C2",
    "discriminators": "C4",
    "combinations": "C1",
}
LABEL_GAP = 0.034  # of the panel's height, between labels at least


class Point(NamedTuple):
    """An arm in the plane: psnr in dB, distance to the clean images' distribution."""

    title: str
    group: str
    psnr: Spread
    distance: Spread


def draw_trade(rows: Rows, study: Study, path: Path) -> None:
    """PSNR against Frechet distance with deviations over the seeds; nothing if no row has both."""
    from matplotlib.figure import Figure

    points = list(_points(rows, study))
    if not points:
        return
    usual = next((name for name, arm in study.arms.items() if arm.trains == "adversarial"), "")
    title = study.arms[usual].title if usual else ""
    figure = Figure(figsize=(13, 6), dpi=100, layout="constrained")
    for axis, (panel, groups) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        shown = [point for point in points if point.group in groups or point.title == title]
        _draw_panel(axis, shown)
        axis.set_title(panel)
    save_sheet(figure, path)


def _points(rows: Rows, study: Study) -> list[Point]:
    found = []
    for name, arm in study.arms.items():
        own = [row for row in rows if row["arm"] == name]
        psnr, distance = spread(own, "psnr"), spread(own, "frechet_distance")
        if psnr and distance:
            found.append(Point(arm.title, arm.group, psnr, distance))
    return found


def _draw_panel(axis: Axes, points: Sequence[Point]) -> None:
    """A cross for each arm, its name right of the panel at its height."""
    axis.set(xlabel="PSNR, dB (more is more faithful)", ylabel="Frechet distance (less is more realistic)")
    axis.grid(alpha=0.25)
    for point in points:
        axis.errorbar(
            point.psnr.mean,
            point.distance.mean,
            xerr=point.psnr.deviation or 0.0,
            yerr=point.distance.deviation or 0.0,
            fmt="o",
            markersize=4,
            capsize=2,
            linewidth=1,
            color=COLOURS[point.group],
        )
    axis.margins(x=0.1, y=0.1)
    low, high = axis.get_ylim()
    in_order = sorted(points, key=lambda point: point.distance.mean)
    heights = spaced([(point.distance.mean - low) / (high - low) for point in in_order], LABEL_GAP)
    for point, height in zip(in_order, heights, strict=True):
        axis.annotate(
            point.title,
            (point.psnr.mean, point.distance.mean),
            xytext=(1.02, height),
            textcoords="axes fraction",
            fontsize=8,
            va="center",
            color=COLOURS[point.group],
            arrowprops={"arrowstyle": "-", "color": COLOURS[point.group], "alpha": 0.35, "linewidth": 0.6},
        )


def spaced(heights: Sequence[float], gap: float) -> list[float]:
    """Rising heights moved as little as it takes to be `gap` apart, each group around its middle."""
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _bottom(groups[-1], gap) - _top(groups[-2], gap) < gap:
            last = groups.pop()
            groups[-1] += last
    return [_bottom(group, gap) + number * gap for group in groups for number in range(len(group))]


def _bottom(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def _top(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) + gap * (len(group) - 1) / 2

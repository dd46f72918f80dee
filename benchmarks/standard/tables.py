"""The results as tables and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from degrain.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PUBLISHED = Path(__file__).with_name("published.csv")
SHOWN = {"bsd68": "BSD68, grey", "cbsd68": "CBSD68, colour"}
SHOWN_SIGMA = 25
LEVELS = (15, 25, 50)  # of the highlights
NEAR_DB = 0.15  # published figures nearer than this share a label
TITLES = {
    "bm3d": "BM3D, here",
    "gaussian": "Gaussian",
    "non_local_means": "non-local means",
    "degrain_adversarial": "degrain, realistic",
}
ASIDE = {
    "degrain_adversarial": (0, -14),
    "total_variation": (0, -13),
}  # points: hardly lower than another mark
# What the README shows: a title, and the method in the grey and in the colour set.
HIGHLIGHTS = {
    "BM3D": ("bm3d", "bm3d"),
    "DnCNN": ("DnCNN-S", "CDnCNN"),
    "FFDNet": ("FFDNet", "FFDNet"),
    "**degrain**": ("degrain", "degrain"),
    "DRUNet": ("DRUNet", "DRUNet"),
    "Restormer": ("Restormer", "Restormer"),
}


def published() -> pd.DataFrame:
    """Figures that the authors of other methods published: set, sigma, method, psnr, parameters, gmacs."""
    return pd.read_csv(PUBLISHED)


HEAD = """# The standard sets

PSNR in dB / SSIM of Gaussian noise that is neither clipped nor rounded; megapixels a second by {engine},
{threads} threads, in the fastest of several passes. `degrain`: the released weights of the pixel loss;
`_x8` in eight symmetries, all of which they restore alike in one pass; `_adversarial` those of the
realistic end, meant to look livelier, not to be nearer. `dncnn_layers`: layers of the published DnCNN's
size, untrained, for their speed alone, in float32 as its code runs. Rows marked published are what the
authors of those methods report; nothing of theirs ran here. Empty: not measured.

"""


def markdown(results: pd.DataFrame, speed: pd.DataFrame) -> str:
    """A table for each set: methods down, PSNR in dB / SSIM at each level across, then speed and size.

    Parameters
    ----------
    speed : with the columns engine and threads.
    """
    head = HEAD.format(**speed.iloc[0][["engine", "threads"]])
    sets = results.groupby("set", observed=True, sort=False)
    return head + "\n".join(_of_set(name, rows) for name, rows in sets)


def highlights(results: pd.DataFrame) -> str:
    """A few of the methods on the sets that are shown: PSNR in dB, the measured ones and the published."""
    figures = results.set_index(["set", "method", "sigma"])["psnr"]
    sources = results.groupby("method")["source"].first()
    heads = ["PSNR, dB", *(f"{SHOWN[name]}, sigma {sigma}" for name in SHOWN for sigma in LEVELS), "source"]
    lines = [_line(heads), _line(["---", *["---:"] * (len(heads) - 2), "---"])]
    for title, methods in HIGHLIGHTS.items():
        of_sets = zip(SHOWN, methods, strict=True)
        cells = [f"{figures[name, method, sigma]:.2f}" for name, method in of_sets for sigma in LEVELS]
        lines.append(_line([title, *cells, sources[methods[0]]]))
    return "\n".join(lines)


def _of_set(name: str, rows: pd.DataFrame) -> str:
    sigmas = sorted(rows["sigma"].unique())
    heads = ["method", *(f"sigma {sigma}" for sigma in sigmas), "Mpx/s", "parameters", "GMACs", "source"]
    lines = [f"## {name}", "", _line(heads), _line(["---", *["---:"] * (len(heads) - 2), "---"])]
    for (method, source), of_method in rows.groupby(["method", "source"], sort=False):
        by_sigma = of_method.set_index("sigma").reindex(sigmas)  # a level may not be measured yet
        first = of_method.iloc[0]
        lines.append(
            _line(
                [
                    method,
                    *(_quality(by_sigma.loc[sigma]) for sigma in sigmas),
                    _number(first["mpx_per_s"], "{:.3g}"),
                    _number(first["parameters"] / 1e6, "{:.2f} M"),
                    _number(first["gmacs"], "{:.1f}"),
                    source,
                ]
            )
        )
    return "\n".join(lines) + "\n"


def _quality(row: pd.Series) -> str:
    return " / ".join(filter(None, (_number(row["psnr"], "{:.2f}"), _number(row["ssim"], "{:.3f}"))))


def _number(value: float, form: str) -> str:
    return "" if pd.isna(value) else form.format(value)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plot(results: pd.DataFrame, path: Path) -> None:
    """PSNR against speed; what was published, and not timed here, as lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.6), layout="constrained")
    for axis, (name, title) in zip(figure.subplots(1, len(SHOWN)), SHOWN.items(), strict=True):
        rows = results[(results["set"] == name) & (results["sigma"] == SHOWN_SIGMA) & results["psnr"].notna()]
        _draw_measured(axis, rows[rows["mpx_per_s"].notna() & (rows["method"] != "noisy")])
        _draw_published(axis, rows[rows["source"] == "published"])
        axis.set(title=f"{title}, sigma {SHOWN_SIGMA}", xlabel="megapixels a second", ylabel="PSNR, dB")
        axis.grid(alpha=0.25)
    with atomic_write(path) as aside:
        figure.savefig(aside, dpi=110, format="png", metadata={"Software": None})


def _draw_measured(axis: Axes, rows: pd.DataFrame) -> None:
    """A mark and a name for each method; stars are ours."""
    axis.set_xscale("log")
    axis.margins(x=0.16, y=0.08)
    for row in rows.drop_duplicates("psnr").itertuples():  # x8 of what restores all eight alike is the same
        is_ours = row.method.startswith("degrain")
        mark, size = ("*", 90) if is_ours else ("o", 30)
        axis.scatter(row.mpx_per_s, row.psnr, marker=mark, s=size, color="C1" if is_ours else "C0", zorder=3)
        title = TITLES.get(row.method, row.method.replace("_", " "))
        place = {"xytext": ASIDE.get(row.method, (0, 6)), "textcoords": "offset points"}
        axis.annotate(title, (row.mpx_per_s, row.psnr), **place, fontsize=8, ha="center", zorder=4)


def _draw_published(axis: Axes, rows: pd.DataFrame) -> None:
    """A line for each figure; the names stand right of the plot, those too near one another together."""
    groups: list[list[tuple[float, str]]] = []
    for row in rows.sort_values("psnr").itertuples():
        axis.axhline(row.psnr, color="grey", linewidth=0.6, linestyle=":")
        if not groups or row.psnr - groups[-1][0][0] > NEAR_DB:
            groups.append([])
        groups[-1].append((row.psnr, row.method))
    for group in groups:
        height = sum(psnr for psnr, _ in group) / len(group)
        names = ", ".join(name for _, name in reversed(group))
        axis.annotate(
            names,
            (1.01, height),
            xycoords=("axes fraction", "data"),
            fontsize=7,
            color="grey",
            va="center",
            annotation_clip=False,
        )

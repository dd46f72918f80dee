"""The results as tables and as a picture."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from degrain.files import atomic_write

PUBLISHED = Path(__file__).with_name("published.csv")
SHOWN = {"bsd68": "BSD68, grey", "cbsd68": "CBSD68, colour"}
SHOWN_SIGMA = 25


def published() -> pd.DataFrame:
    """Figures that the authors of other methods published: set, sigma, method, psnr, parameters, gmacs."""
    return pd.read_csv(PUBLISHED)


def markdown(results: pd.DataFrame) -> str:
    """A table for each set: methods down, PSNR in dB / SSIM at each level across, then speed and size."""
    return "\n".join(_of_set(name, rows) for name, rows in results.groupby("set", observed=True, sort=False))


def _of_set(name: str, rows: pd.DataFrame) -> str:
    sigmas = sorted(rows["sigma"].unique())
    heads = ["method", *(f"sigma {sigma}" for sigma in sigmas), "Mpx/s", "parameters", "GMACs", "source"]
    lines = [f"### {name}", "", _line(heads), _line(["---", *["---:"] * (len(heads) - 2), "---"])]
    for (method, source), of_method in rows.groupby(["method", "source"], sort=False):
        by_sigma = of_method.set_index("sigma")
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

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    axes = figure.subplots(1, len(SHOWN))
    for axis, (name, title) in zip(axes, SHOWN.items(), strict=True):
        rows = results[(results["set"] == name) & (results["sigma"] == SHOWN_SIGMA) & results["psnr"].notna()]
        timed = rows[rows["mpx_per_s"].notna() & (rows["method"] != "noisy")]
        ours = timed["method"].str.startswith("degrain")
        for mark, those in (("o", timed[~ours]), ("*", timed[ours])):
            axis.scatter(
                those["mpx_per_s"], those["psnr"], marker=mark, s=90 if mark == "*" else 30, zorder=3
            )
        for _, row in timed.iterrows():
            axis.annotate(
                row["method"], (row["mpx_per_s"], row["psnr"]), (4, 5), textcoords="offset points", fontsize=8
            )
        _draw_published(axis, rows[rows["source"] == "published"])
        axis.set(
            xscale="log",
            title=f"{title}, sigma {SHOWN_SIGMA}",
            xlabel="megapixels a second",
            ylabel="PSNR, dB",
        )
        axis.grid(alpha=0.25)
    with atomic_write(path) as aside:
        figure.savefig(aside, dpi=110, format="png", metadata={"Software": None})


def _draw_published(axis: object, rows: pd.DataFrame) -> None:
    """A line for each figure; names of those too near one another share one."""
    height, names = None, ""
    for _, row in rows.sort_values("psnr").iterrows():
        axis.axhline(row["psnr"], color="grey", linewidth=0.6, linestyle=":")  # type: ignore[attr-defined]
        names = (
            f"{names}, {row['method']}"
            if height is not None and row["psnr"] - height < 0.06
            else row["method"]
        )
        height = row["psnr"]
        axis.annotate(  # type: ignore[attr-defined]
            names,
            (1, height),
            (-2, 1),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=7,
            color="grey",
            ha="right",
        )

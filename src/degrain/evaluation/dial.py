"""What each step of the dial, from most faithful to most realistic, gains and costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from degrain.build.dial import load_between
from degrain.compute import Engine
from degrain.data.noisy import NoisySet, Pair
from degrain.files import write_csv, write_image
from degrain.metrics import psnr, ssim, to_8_bit
from degrain.metrics.spectrum import spectrum_distance
from degrain.restore import Restorer
from degrain.sheet import DPI, save_sheet
from degrain.tracking import Run

Image = NDArray[np.float32]
Method = Callable[[Image, float], Image]
Measure = Callable[..., float]

POSITIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
MEASURES: dict[str, Measure] = {"psnr": psnr, "ssim": ssim, "spectrum_distance": spectrum_distance}


def between(faithful: Path, realistic: Path, engine: Engine) -> Callable[[float], Method]:
    """What restores at each position between two generators; see `load_between`."""
    return lambda position: Restorer(*load_between(faithful, realistic, position), engine)


def dial_curve(test: NoisySet, method_at: Callable[[float], Method], keep: Path) -> pd.DataFrame:
    """Fidelity and realism at every position of the dial, at the middle level.

    Parameters
    ----------
    method_at : what restores at a position, from 0 (most faithful) to 1 (most realistic).
    keep : folder that the restored images go to, as <level>/dial_<position>/<name>.png.

    Returns
    -------
    A row for each position, of means over the images: dial, level, psnr (dB), ssim, spectrum_distance (dB).
    """
    level = test.levels[len(test.levels) // 2]
    pairs = [pair for pair in test if pair.level == level]
    rows = []
    for position in tqdm(POSITIONS, "dial", leave=False):
        method = method_at(position)
        restored = [to_8_bit(method(pair.noisy, pair.sigma)) for pair in pairs]
        for pair, image in zip(pairs, restored, strict=True):
            write_image(keep / level / f"dial_{position:g}" / f"{pair.name}.png", image)
        figures = {
            name: float(np.mean([_measured(measure, *both) for both in zip(restored, pairs, strict=True)]))
            for name, measure in MEASURES.items()
        }
        rows.append({"dial": position, "level": level, **figures})
    return pd.DataFrame(rows).round({"psnr": 4, "ssim": 6, "spectrum_distance": 4})


def _measured(measure: Measure, restored: Image, pair: Pair) -> float:
    return measure(restored, pair.clean, data_range=1.0)


def write_dial(curve: pd.DataFrame, reports: Path) -> None:
    """Write the curve as dial.csv, and as the picture dial.png: distortion across, perception up."""
    write_csv(reports / "dial.csv", curve)
    figure = Figure(figsize=(5, 4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.plot(curve["psnr"], curve["spectrum_distance"], "o-")
    for row in curve.itertuples():
        axis.annotate(f" {row.dial:g}", (row.psnr, row.spectrum_distance))
    axis.set_xlabel("PSNR, dB: more is more faithful")
    axis.set_ylabel("distance of power spectra, dB: less is more realistic")
    axis.set_title(f"the dial, {str(curve['level'][0]).replace('_', ' ')}", fontsize=10)
    save_sheet(figure, reports / "dial.png")


def log_dial(log: Run, curve: pd.DataFrame, reports: Path) -> None:
    """Show the curve in MLflow: a metric's step is the dial in hundredths."""
    for row in curve.to_dict("records"):
        log.log_metrics(round(100 * row["dial"]), {f"dial_{name}": row[name] for name in MEASURES})
    for name in ("dial.csv", "dial.png"):
        log.log_artifact(reports / name)

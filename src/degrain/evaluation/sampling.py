"""Whether samples of a stochastic generator are what they should be: all that the clean image may have been.

The mean of N samples of the true distribution has 1 + 1/N times the squared error of the mean of infinitely
many, and their variance is the squared error that a single pixel of that mean must expect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from degrain.data.noisy import Pair
from degrain.files import write_csv, write_json
from degrain.metrics import psnr, to_8_bit
from degrain.metrics.spectrum import spectrum_distance
from degrain.restore import Restorer
from degrain.sheet import DPI, save_sheet

Image = NDArray[np.float32]
MEASURES = {"psnr": psnr, "spectrum_distance": spectrum_distance}
BINS = 20


@dataclass(frozen=True)
class Findings:
    """What was found out about a generator's samples.

    law : a row for each N: samples, psnr of the mean of N (dB), expected_psnr by the law, from that of all
        (dB), spectrum_distance (dB); psnr and spectrum_distance are means over the images.
    calibration : a row for each of as many pixels, from the surest on: predicted and real root mean square
        error, in units of 255, and pixels.
    variance_ratio : mean predicted squared error by the real one; 1 is right, 0 ignores z.
    reference : psnr (dB) and spectrum_distance (dB) of the deterministic generator.
    images : on so many all of this was found out.
    """

    law: pd.DataFrame
    calibration: pd.DataFrame
    variance_ratio: float
    reference: dict[str, float]
    images: int


def examine(pairs: Iterable[Pair], restorer: Restorer, reference: Restorer, *, count: int) -> Findings:
    """Draw `count` samples of each pair, at least 2, and compare them with the clean images."""
    sizes = _sizes(count)
    figures, references, predicted, real = [], [], [], []
    for pair in pairs:
        samples = restorer.samples(pair.noisy, pair.sigma, count=count).clip(0, 1)
        figures.append([_quality(samples[:size].mean(0), pair.clean) for size in sizes])
        references.append(_quality(reference(pair.noisy, pair.sigma), pair.clean))
        # The mean of so few has an error of its own.
        predicted.append(samples.var(0, ddof=1).ravel() * (1 + 1 / count))
        real.append(((samples.mean(0) - pair.clean) ** 2).ravel())
    means = np.mean(figures, axis=0)
    law = pd.DataFrame({"samples": sizes, "psnr": means[:, 0], "spectrum_distance": means[:, 1]})
    law.insert(2, "expected_psnr", means[-1, 0] - 10 * np.log10((1 + 1 / law["samples"]) / (1 + 1 / count)))
    variances, errors = np.concatenate(predicted), np.concatenate(real)
    return Findings(
        law.round(4),
        _reliability(variances, errors),
        round(float(variances.mean(dtype=np.float64) / errors.mean(dtype=np.float64)), 4),
        dict(zip(MEASURES, np.mean(references, axis=0).round(4).tolist(), strict=True)),
        len(references),
    )


def _sizes(count: int) -> list[int]:
    """1, 2, 4 and so on, and `count`."""
    return [*(2**power for power in range(count.bit_length()) if 2**power < count), count]


def _quality(restored: Image, clean: Image) -> list[float]:
    return [measure(to_8_bit(restored), clean, data_range=1.0) for measure in MEASURES.values()]


def _reliability(variances: Image, errors: Image) -> pd.DataFrame:
    """Pixels from the surest to the least sure, in bins of as many."""
    rows = [
        {
            "predicted_255": 255 * float(variances[part].mean(dtype=np.float64)) ** 0.5,
            "real_255": 255 * float(errors[part].mean(dtype=np.float64)) ** 0.5,
            "pixels": len(part),
        }
        for part in np.array_split(variances.argsort(kind="stable"), BINS)
    ]
    return pd.DataFrame(rows).round(4)


def write_findings(found: Findings, level: str, folder: Path) -> None:
    """Write law.csv, law.png, calibration.csv, calibration.png and summary.json."""
    write_csv(folder / "law.csv", found.law)
    write_csv(folder / "calibration.csv", found.calibration)
    by_size = found.law.set_index("samples")[list(MEASURES)]
    summary = {
        "level": level,
        "images": found.images,
        "pixel_loss": found.reference,
        "one_sample": by_size.iloc[0].to_dict(),
        f"mean_of_{by_size.index[-1]}": by_size.iloc[-1].to_dict(),
        "variance_ratio": found.variance_ratio,
    }
    write_json(folder / "summary.json", summary)
    axis = _axis("samples in the mean", "PSNR, dB", level)
    axis.semilogx(found.law["samples"], found.law["psnr"], "o-", base=2, label="measured")
    axis.semilogx(found.law["samples"], found.law["expected_psnr"], "--", base=2, label="1 + 1/N")
    axis.axhline(found.reference["psnr"], color="gray", linewidth=1, label="pixel loss")
    _save(axis, folder / "law.png")
    axis = _axis("predicted error of a pixel, units of 255", "real error, root mean square", level)
    axis.plot(found.calibration["predicted_255"], found.calibration["real_255"], "o-", label="measured")
    ends = [0.0, float(found.calibration[["predicted_255", "real_255"]].max().max())]
    axis.plot(ends, ends, "--", color="gray", label="calibrated")
    _save(axis, folder / "calibration.png")


def _axis(across: str, up: str, level: str) -> Axes:
    figure = Figure(figsize=(5, 4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axis: Axes = figure.subplots()
    axis.set(xlabel=across, ylabel=up, title=level.replace("_", " "))
    return axis


def _save(axis: Axes, path: Path) -> None:
    axis.legend()
    figure = axis.figure
    assert isinstance(figure, Figure)
    save_sheet(figure, path)


def as_text(found: Findings) -> str:
    """The findings for a terminal."""
    lines: Sequence[str] = [
        f"{'samples':>10}  {'PSNR':>6}  {'by 1 + 1/N':>10}  {'spectrum':>8}   (dB)",
        *(
            f"{row.samples:>10}  {row.psnr:>6.2f}  {row.expected_psnr:>10.2f}  {row.spectrum_distance:>8.2f}"
            for row in found.law.itertuples()
        ),
        f"{'pixel loss':>10}  {found.reference['psnr']:>6.2f}  {'':>10}  "
        f"{found.reference['spectrum_distance']:>8.2f}",
        f"predicted by real squared error: {found.variance_ratio:.2f} (1 is right)",
    ]
    return "\n".join(lines)

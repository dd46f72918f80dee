"""The dial of the released generators: what each position costs and gains, on BSD68 and CBSD68 at sigma 25.

    python -m benchmarks.dial        # DEGRAIN_MIRROR=FOLDER where the sets are at hand
    python -m benchmarks.dial --all  # measures anew what these very weights were measured for, too

Needs the extra `perceptual`. By the protocol of `make benchmark`. Writes reports/benchmark/dial.csv: set,
sigma, dial, psnr (dB), ssim and three distances to the clean images, less of which is more realistic (see
`degrain.metrics`): of power spectra (dB), of features, and of the distribution of features (Frechet), all
of images rounded to 8 bits, as they are saved. unrounded_feature_distance and unrounded_frechet_distance are
of images as the network gives them, for rounding gives smooth ones a grain that clean ones have. At last the
sha256 of the weights. And dial.png, the perception-distortion curve: below its dotted line, a position gains
a larger share than it costs; and the model cards. The judge is EfficientNet-Lite2, which took no part in
training.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmarks.kept import known_rows, measured
from benchmarks.standard.cards import write_cards
from benchmarks.standard.quality import add_noise, load_set
from degrain.build.released import END_POINTS, released_path
from degrain.compute import Engine
from degrain.evaluation.dial import MEASURES, POSITIONS, between
from degrain.features import Backbone
from degrain.files import atomic_write, sha256_file
from degrain.metrics import to_8_bit
from degrain.metrics.deep import DeepDistances, deep_distances

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SETS = {"bsd68": (1, "BSD68, grey"), "cbsd68": (3, "CBSD68, colour")}
SIGMA_255 = 25
REPORTS = Path("reports/benchmark")
REPORT = REPORTS / "dial.csv"
# Before the names of the distances of images that are not rounded to 8 bits.
UNROUNDED = "unrounded_"


def weights_of(name: str) -> dict[str, str]:
    """The sha256 of both ends."""
    return {end: sha256_file(released_path(end, SETS[name][0])) for end in END_POINTS}


def known(name: str) -> pd.DataFrame:
    """The rows of last time, if they are of the same weights and hold everything; else none."""
    distances = [prefix + field for prefix in ("", UNROUNDED) for field in DeepDistances._fields]
    return known_rows(REPORT, name, weights_of(name), distances)


def measure(name: str, engine: Engine, judge: Backbone) -> Iterator[dict[str, object]]:
    """One row for each position: means over the images of a set."""
    channels, _ = SETS[name]
    method_at = between(*(released_path(end, channels) for end in END_POINTS), engine)
    weights = weights_of(name)
    images = load_set(name)
    clean = [image for _, image in images]
    for dial in POSITIONS:
        restore = method_at(dial)
        seen = tqdm(images, f"{name}, dial {dial:g}", delay=3, leave=False)
        unrounded = [restore(add_noise(stem, one, SIGMA_255), SIGMA_255 / 255) for stem, one in seen]
        restored = [to_8_bit(one) for one in unrounded]
        pairs = list(zip(restored, clean, strict=True))
        figures = {
            key: float(np.mean([each(*pair, data_range=1.0) for pair in pairs]))
            for key, each in MEASURES.items()
        }
        for prefix, images_seen in (("", restored), (UNROUNDED, unrounded)):
            distances = deep_distances(images_seen, clean, data_range=1.0, judge=judge)._asdict()
            figures |= {prefix + key: value for key, value in distances.items()}
        yield {"set": name, "sigma": SIGMA_255, "dial": dial} | figures | weights


def draw(rows: pd.DataFrame, path: Path) -> None:
    """PSNR across, feature and Frechet distance up, of each set."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplots(2, len(SETS))
    for (name, (_, title)), column in zip(SETS.items(), axes.T, strict=True):
        curve = rows[rows["set"] == name]
        for axis, distance in zip(column, ("feature_distance", "frechet_distance"), strict=True):
            _draw_curve(axis, curve, distance)
        column[0].set_title(f"{title}, sigma {SIGMA_255}", fontsize=10)
    with atomic_write(path) as aside:
        figure.savefig(aside, dpi=110, format="png", metadata={"Software": None})


def _draw_curve(axis: Axes, curve: pd.DataFrame, distance: str) -> None:
    axis.plot(curve["psnr"], curve[distance], "o-")
    ends = curve.iloc[[0, -1]]
    axis.plot(ends["psnr"], ends[distance], ":", color="grey", linewidth=1)
    for row in curve.itertuples():
        place = {"xytext": (6, -12), "textcoords": "offset points"}
        axis.annotate(f"{row.dial:g}", (row.psnr, getattr(row, distance)), **place)
    axis.margins(x=0.1, y=0.1)
    axis.set(xlabel="PSNR, dB", ylabel=f"{distance.replace('_', ' ').capitalize()}: less is more realistic")
    axis.grid(alpha=0.25)


def main() -> None:
    """Measure, write and print."""
    rows, _ = measured(__doc__, SETS, known, measure, REPORT)
    draw(rows, REPORTS / "dial.png")
    write_cards(REPORTS)
    print(rows[rows.columns[:-2]].to_string(index=False))


if __name__ == "__main__":
    main()

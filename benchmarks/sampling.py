"""The samples of the released generators, on BSD68 and CBSD68 at sigma 25.

    python -m benchmarks.sampling        # DEGRAIN_MIRROR=FOLDER where the sets are at hand
    python -m benchmarks.sampling --all  # measures anew what these very weights were measured for, too

Needs the extra `perceptual`. By the protocol of `make benchmark`. Writes reports/benchmark/sampling.csv:
set, sigma, restoration (faithful, realistic, one sample), psnr (dB), ssim, the distances of
`benchmarks.dial` to the clean images, two_sample_accuracy (see `degrain.metrics.two_sample`; 0.5 is
perfect), all of images rounded to 8 bits, and the sha256 of the weights. In reports/benchmark/sampling/
there is what `degrain sampling` writes, for every eighth image, grey and colour: the error of the mean of N
samples against the law 1 + 1/N, and the predicted error of each pixel against the real one. And
sampling.png, photographs that come with the installed packages in every restoration, and the model cards.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.kept import known_rows, measured
from benchmarks.standard.cards import write_cards
from benchmarks.standard.quality import add_noise, load_set
from degrain.build.released import END_POINTS, released_path
from degrain.compute import Engine
from degrain.data.embedded import locate, photographs
from degrain.data.noisy import Pair
from degrain.evaluation.dial import MEASURES
from degrain.evaluation.pictures import liveliest
from degrain.evaluation.sampling import as_text, examine, write_findings
from degrain.features import Backbone
from degrain.files import read_image, sha256_file, to_array, to_tensor
from degrain.metrics import to_8_bit
from degrain.metrics.deep import deep_distances
from degrain.metrics.two_sample import two_sample_accuracy
from degrain.noise import Gaussian
from degrain.restore import Restorer
from degrain.restorers import sampling_path
from degrain.seeding import seeded_generator
from degrain.sheet import draw, save_sheet, sheet

Image = NDArray[np.float32]
SETS = {"bsd68": (1, "grey"), "cbsd68": (3, "colour")}
SIGMA_255 = 25
COUNT, EVERY = 32, 8  # so many samples of every eighth image
TITLES = {"sampling": "one sample"}
REPORTS = Path("reports/benchmark")
REPORT = REPORTS / "sampling.csv"
SHOWN, CROP_PX = ("astronaut", "chelsea"), 96
SHOWN_DEVIATION = 20 / 255  # is white in the pictures


def files(channels: int) -> dict[str, Path]:
    """What is compared."""
    return {str(end): released_path(end, channels) for end in END_POINTS} | {
        "sampling": sampling_path(channels)
    }


def weights_of(name: str) -> dict[str, str]:
    """The sha256 of each."""
    return {what: sha256_file(path) for what, path in files(SETS[name][0]).items()}


def known(name: str) -> pd.DataFrame:
    """The rows of last time, if they are of the same weights; else none."""
    return known_rows(REPORT, name, weights_of(name))


def measure(name: str, engine: Engine, judge: Backbone) -> Iterator[dict[str, object]]:
    """A row for each restoration: means over the images of a set."""
    examine_samples(name, engine)
    pairs, weights = noisy_pairs(name), weights_of(name)
    clean = [pair.clean for pair in pairs]
    for title, path in files(SETS[name][0]).items():
        restore = Restorer.load(path, engine)
        seen = tqdm(pairs, f"{name}, {title}", delay=3, leave=False)
        restored = [to_8_bit(restore(pair.noisy, pair.sigma)) for pair in seen]
        both = list(zip(restored, clean, strict=True))
        figures = {
            key: float(np.mean([each(*images, data_range=1.0) for images in both]))
            for key, each in MEASURES.items()
        }
        deep = deep_distances(restored, clean, data_range=1.0, judge=judge)._asdict()
        told = two_sample_accuracy(restored, clean, data_range=1.0, seed=0)
        yield (
            {"set": name, "sigma": SIGMA_255, "restoration": TITLES.get(title, title)}
            | figures
            | deep
            | {"two_sample_accuracy": told}
            | weights
        )


def noisy_pairs(name: str) -> list[Pair]:
    """Every image of a set with its noise."""
    level, sigma = f"sigma_{SIGMA_255}", SIGMA_255 / 255
    return [
        Pair(stem, level, sigma, clean, add_noise(stem, clean, SIGMA_255)) for stem, clean in load_set(name)
    ]


def examine_samples(name: str, engine: Engine) -> None:
    """Whether they are as unsure as they are wrong, into a folder of the reports."""
    channels, colours = SETS[name]
    paths = sampling_path(channels), released_path("faithful", channels)
    bar = tqdm(noisy_pairs(name)[::EVERY], f"{name}, {COUNT} samples", leave=False)
    found = examine(bar, *(Restorer.load(path, engine) for path in paths), count=COUNT)
    write_findings(found, f"sigma_{SIGMA_255}", REPORTS / "sampling" / colours)
    print(as_text(found))


def draw_strip(engine: Engine, path: Path) -> None:
    """The liveliest square of photographs, restored in every way, and where samples differ."""
    restorers = {what: Restorer.load(file, engine) for what, file in files(3).items()}
    rows = [_row(name, restorers) for name in SHOWN]
    figure, axes = sheet(len(rows[0]), [1.0] * len(rows), width_in=1.6 * len(rows[0]))
    for number, (axes_row, row) in enumerate(zip(axes, rows, strict=True)):
        for axis, (title, image) in zip(axes_row, row, strict=True):
            draw(axis, image, "" if number else title)
    save_sheet(figure, path)


def _row(name: str, restorers: dict[str, Restorer]) -> list[tuple[str, Image]]:
    found = next(one for one in photographs("test", 3) if one.name == name)
    clean, sigma = read_image(locate(found.package, found.path)), SIGMA_255 / 255
    generator = seeded_generator(0, "samples", name)
    noisy = to_array(Gaussian()(to_tensor(clean), torch.tensor([float(SIGMA_255)]), generator=generator))
    samples = restorers["sampling"].samples(noisy, sigma, count=COUNT).clip(0, 1)
    x, y, side = liveliest(clean, CROP_PX)
    shown = {
        "noisy": noisy,
        **{end: restorers[end](noisy, sigma) for end in END_POINTS},
        **{f"sample {number}": sample for number, sample in enumerate(samples[:2], 1)},
        f"mean of {COUNT}": samples.mean(0),
        "how unsure": samples.std(0, ddof=1).mean(2, keepdims=True) / SHOWN_DEVIATION,
        "clean": clean,
    }
    return [(title, image[y : y + side, x : x + side]) for title, image in shown.items()]


def main() -> None:
    """Measure, write and print."""
    rows, engine = measured(__doc__, SETS, known, measure, REPORT)
    draw_strip(engine, REPORTS / "sampling.png")
    write_cards(REPORTS)
    print(rows[rows.columns[:-3]].to_string(index=False))


if __name__ == "__main__":
    main()

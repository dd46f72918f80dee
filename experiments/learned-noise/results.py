"""The table of the experiment: what each way to train does on the photographs of the test scenes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from degrain.bm3d import load_bm3d
from degrain.build.learned_noise import load_block_noise
from degrain.build.released import released_path
from degrain.compute import start_engine
from degrain.data.noisy import Image
from degrain.errors import DegrainError
from degrain.files import read_image, write_csv
from degrain.metrics import psnr, ssim, to_8_bit
from degrain.noise.blocks import smooth_level
from degrain.params import Params
from degrain.restore import Restorer
from degrain.stages._main import run

RAW, REPORTS = Path("data/raw"), Path("reports")
NOISE = Path("models/noise/generator.safetensors")
# What a network may be told of the photographs, in units of 255.
LEVELS_255 = (3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 30, 40)
LEAST_GAP_DB = 0.05
MIDDLE_PX = 256  # side of what is measured of each photograph

Pair = tuple[str, Image, Image]
Restore = Callable[[Image, float], Image]


@dataclass(frozen=True)
class Method:
    """A way to restore: trained on what, told which level of an image, on its scale."""

    name: str
    restore: Restore
    level: Callable[[Image], float]
    told: str


def main(params: Params) -> None:
    """Choose levels on the validation scenes, measure on the test scenes, write."""
    ways = list(methods(params))
    rows = [
        {"method": way.name, "told": way.told, "name": name, **quality(way, noisy, clean)}
        for name, noisy, clean in tqdm(list(pairs("test")), desc="test photographs")
        for way in ways
    ]
    images = pd.DataFrame(rows)
    write_csv(REPORTS / "images.csv", images.round({"psnr": 4, "ssim": 6}))
    table = with_gap(images.groupby(["method", "told"], sort=False)[["psnr", "ssim"]].mean().reset_index())
    write_csv(REPORTS / "results.csv", table.round({"psnr": 3, "ssim": 5, "gap_closed": 3}))
    print(table.to_string(index=False))


def methods(params: Params) -> Iterator[Method]:
    """Every way, BM3D where its package is installed."""
    engine = start_engine(params.compute)
    shown = [(noisy, clean) for _, noisy, clean in pairs("val")][::2]
    yield Method("noisy", lambda noisy, _: noisy, lambda _: 0.0, "")
    try:
        yield best("BM3D", load_bm3d(), shown)
    except DegrainError as error:
        print(f"BM3D is left out: {error}")
    released = Restorer.load(released_path("faithful", params.data.channels), engine)
    yield best("Gaussian, released", released, shown)
    yield best("Gaussian", arm("gaussian", engine), shown)
    smooth = partial(smooth_level, rule=load_block_noise(NOISE)[1])
    learned = arm("learned", engine)
    yield Method("learned noise", learned, smooth, "smooth blocks")
    yield best("learned noise", learned, shown)
    yield best("true pairs", arm("pairs", engine), shown)


def arm(name: str, engine: object) -> Restorer:
    """What an arm has trained."""
    return Restorer.load(Path(f"arms/{name}/models/generator.safetensors"), engine)  # type: ignore[arg-type]


def best(name: str, restore: Restore, shown: list[tuple[Image, Image]]) -> Method:
    """The way told the level that is best on the validation photographs."""
    scores = {
        level: np.mean([psnr(to_8_bit(restore(noisy, level / 255)), clean, data_range=1.0)
                        for noisy, clean in shown])
        for level in tqdm(LEVELS_255, desc=f"level for {name}", delay=3)
    }  # fmt: skip
    level = max(scores, key=lambda one: scores[one])
    return Method(name, restore, lambda _: level / 255, f"{level} / 255")


def quality(way: Method, noisy: Image, clean: Image) -> dict[str, float]:
    """PSNR in dB and SSIM of one photograph."""
    restored = to_8_bit(way.restore(noisy, way.level(noisy)))
    return {measure.__name__: measure(restored, clean, data_range=1.0) for measure in (psnr, ssim)}


def pairs(split: str) -> Iterator[Pair]:
    """(name, noisy, clean) of the middle of every photograph of a split."""
    for path in sorted((RAW / split).glob("*.png")):
        images = (read_image(RAW / f"{split}_noisy" / path.name), read_image(path))
        yield path.stem, *map(middle, images)


def middle(image: Image) -> Image:
    """The square in the middle of (H, W, C)."""
    y, x = ((length - MIDDLE_PX) // 2 for length in image.shape[:2])
    return image[y : y + MIDDLE_PX, x : x + MIDDLE_PX]


def with_gap(table: pd.DataFrame) -> pd.DataFrame:
    """The share of the way from the best Gaussian to the true pairs that each method goes, in PSNR.

    Empty where the true pairs are hardly better: there is no way to go.
    """
    floor = table["psnr"][table["method"].str.startswith("Gaussian")].max()
    gap = float(table["psnr"][table["method"] == "true pairs"].iloc[0]) - floor
    return table.assign(gap_closed=(table["psnr"] - floor) / gap if gap >= LEAST_GAP_DB else np.nan)


if __name__ == "__main__":
    run(main)

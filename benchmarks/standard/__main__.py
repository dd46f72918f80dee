"""Every method on the standard test sets, by the field's protocol, beside the published figures.

    make benchmark              # DEGRAIN_MIRROR=FOLDER where the sets are at hand; else they are downloaded
    make benchmark ARGS=--all   # measures anew what has been measured before, too

Writes reports/benchmark/: quality.csv and speed.csv (measured), results.csv and results.md (those and
the published), plot.png; and the model cards in src/degrain/weights. Noise is added in [0, 1], neither
clipped nor rounded, with a seed for each image; what is restored is clipped and rounded to 8 bits;
PSNR and SSIM are means over the images. BM3D takes two hours, and only takes part where its package is
installed (see `make bm3d`); where it is not, its figures of last time stay, and so do all speeds, for they
are of one run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.standard.cards import write_cards
from benchmarks.standard.methods import Method, methods
from benchmarks.standard.quality import SETS, SIGMAS, load_set, measure_quality, validation_pairs
from benchmarks.standard.speed import measure_speeds
from benchmarks.standard.tables import markdown, plot, published
from degrain.compute import start_engine
from degrain.errors import DegrainError
from degrain.files import write_csv, write_text
from degrain.params import Compute

REPORTS = Path("reports/benchmark")
MEASURED = ["set", "sigma", "method", "psnr", "ssim", "images", "identity"]
COLUMNS = ["set", "sigma", "method", "psnr", "ssim", "mpx_per_s", "parameters", "gmacs", "source"]


def main() -> None:
    """Measure what is missing or has changed, then all speeds in one go, and write the reports."""
    options = _parse()
    engine = start_engine(
        Compute(device=options.device, precision=options.precision, threads=options.threads)
    )
    known = {channels: methods(channels, engine, validation_pairs) for channels in (1, 3)}
    quality = _read(REPORTS / "quality.csv")
    for name in SETS:
        quality = _measure_set(name, known, quality, options)
    speed_path = REPORTS / "speed.csv"
    if options.speed and _would_lose(speed_path, known):
        print(f"{speed_path}: kept, for some of its methods are not installed here")
    elif options.speed or not speed_path.exists():
        write_csv(speed_path, measure_speeds(known, engine, threads=options.threads))
    speed = pd.read_csv(speed_path)
    results = _join(quality, speed, known)
    write_csv(REPORTS / "results.csv", results)
    write_text(REPORTS / "results.md", markdown(results, speed))
    write_cards(REPORTS)
    plot(results, REPORTS / "plot.png")
    print(markdown(results, speed))


def _measure_set(
    name: str, known: dict[int, list[Method]], quality: pd.DataFrame, options: argparse.Namespace
) -> pd.DataFrame:
    """Add what is missing of a set; each row is kept as soon as it is there."""
    images = load_set(name)
    for sigma in SIGMAS:
        for method in known[SETS[name]]:
            again = options.all or not _is_known(quality, name, sigma, method)
            if _is_wanted(method, options.methods) and again:
                row = measure_quality(method, name, images, sigma, workers=options.threads)
                quality = _replace(quality, row)
                write_csv(REPORTS / "quality.csv", quality)
    return quality


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="measure anew what has been measured before")
    parser.add_argument("--no-speed", dest="speed", action="store_false", help="keep the speeds of last time")
    parser.add_argument("--methods", nargs="*", help="measure these only (default: all)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=MEASURED)


def _would_lose(speed: Path, known: dict[int, list[Method]]) -> bool:
    """Whether speeds measured now would lack a method that the report has."""
    names = {method.name for those in known.values() for method in those}
    return speed.exists() and not set(pd.read_csv(speed)["method"]) <= names


def _is_wanted(method: Method, names: list[str] | None) -> bool:
    return method.scored and (names is None or method.name in names)


def _is_known(quality: pd.DataFrame, name: str, sigma: int, method: Method) -> bool:
    """Whether the very same method has been measured: its weights or its code with its libraries."""
    same = (quality["set"] == name) & (quality["sigma"] == sigma) & (quality["method"] == method.name)
    return bool((quality[same]["identity"] == method.identity).any())


def _replace(quality: pd.DataFrame, row: dict[str, object]) -> pd.DataFrame:
    key = ["set", "sigma", "method"]
    joined = pd.concat([quality, pd.DataFrame([row], columns=MEASURED)], ignore_index=True)
    return joined.drop_duplicates(key, keep="last")


def _join(quality: pd.DataFrame, speed: pd.DataFrame, known: dict[int, list[Method]]) -> pd.DataFrame:
    """Quality, speed and size side by side, and below them what was published."""
    described = pd.DataFrame(
        [
            {"channels": channels, "method": one.name, "parameters": one.parameters, "gmacs": one.gmacs}
            for channels, those in known.items()
            for one in those
        ]
    )
    of_set = pd.DataFrame([{"set": name, "channels": channels} for name, channels in SETS.items()])
    unscored = [one.name for one in known[1] if not one.scored]
    rows = pd.MultiIndex.from_product([SETS, SIGMAS, unscored], names=["set", "sigma", "method"])
    quality = pd.concat([quality, rows.to_frame(index=False)]).merge(of_set)
    measured = quality.merge(speed, how="left").merge(described, how="left").assign(source="measured")
    both = pd.concat([measured, published().assign(source="published")])[COLUMNS]
    both["set"] = pd.Categorical(both["set"], list(SETS))
    order = {one.name: place for place, one in enumerate(known[1])}
    # BM3D, where it is not installed, stands where it would.
    both["place"] = both["method"].map(order).fillna(order.get("degrain", len(order)) - 0.5)
    ordered = both.sort_values(["set", "sigma", "source", "place"], kind="stable")
    return ordered.reset_index(drop=True)[COLUMNS]


if __name__ == "__main__":
    try:
        main()
    except DegrainError as error:
        msg = f"benchmark: {error}"
        raise SystemExit(msg) from None

"""Two runs side by side: params, metrics, and what their models make of the test images."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from degrain.compute import start_engine
from degrain.data.noisy import Image, NoisySet, Pair
from degrain.evaluation.pictures import draw_comparison
from degrain.metrics import psnr, to_8_bit
from degrain.params import Params
from degrain.restore import Restorer
from degrain.tracking.lookup import RunRecord, fetch_generator
from degrain.tracking.store import Store

AMPLIFIED = 8  # the difference in the pictures
MISSING = "-"


@dataclass(frozen=True)
class Change:
    """How differently two models restore an image at a level: PSNR of both in dB, root mean square of the
    difference in units of 255, and the picture of it.
    """

    name: str
    level: str
    first_db: float
    second_db: float
    rms_255: float
    picture: Path


def side_by_side(first: RunRecord, second: RunRecord, *, everything: bool) -> str:
    """Tables of params and metrics, in Markdown; those that differ, or all."""
    params = _rows(first.params, second.params, everything=everything)
    metrics = [
        [*row, _difference(first.metrics.get(row[0]), second.metrics.get(row[0]))]
        for row in _rows(
            {name: f"{value:.6g}" for name, value in first.metrics.items()},
            {name: f"{value:.6g}" for name, value in second.metrics.items()},
            everything=everything,
        )
    ]
    head = [str(first), str(second)]
    return "\n".join(
        [
            *_table(["param", *head], params, "params"),
            "",
            *_table(["metric", *head, "change"], metrics, "metrics"),
        ]
    )


def compare_models(
    store: Store, runs: tuple[RunRecord, RunRecord], params: Params, folder: Path, *, most: int
) -> list[Change] | None:
    """Restore the test images by the models of both runs, and draw those that differ most into `folder`.

    Returns
    -------
    The changes, largest first, at most `most`, each image once; None where the store lacks a model.
    """
    engine = start_engine(params.compute)
    with tempfile.TemporaryDirectory() as name:
        files = [fetch_generator(store, run, Path(name) / str(index)) for index, run in enumerate(runs)]
        if None in files:
            return None
        models = [Restorer.load(file, engine) for file in files if file]
    test = NoisySet("test")
    pairs = tqdm(test, desc="compare", unit="image", total=len(test))
    restored = {(pair.name, pair.level): _restored(models, pair) for pair in pairs}
    largest: dict[str, tuple[str, str]] = {}
    for key in sorted(restored, key=lambda key: -_rms_255(*restored[key])):
        largest.setdefault(key[0], key)
    chosen = list(largest.values())[:most]
    changes = {
        (pair.name, pair.level): _draw(pair, restored[pair.name, pair.level], runs, folder, params)
        for pair in test
        if (pair.name, pair.level) in chosen
    }
    return [changes[key] for key in chosen]


def _restored(models: list[Restorer], pair: Pair) -> tuple[Image, Image]:
    first, second = (to_8_bit(model(pair.noisy, pair.sigma)) for model in models)
    return first, second


def _draw(
    pair: Pair, made: tuple[Image, Image], runs: tuple[RunRecord, RunRecord], folder: Path, params: Params
) -> Change:
    first, second = made
    picture = folder / f"{pair.name}_{pair.level}.png"
    images = {
        "noisy": pair.noisy,
        str(runs[0]): first,
        f"{runs[1]} ": second,  # a title of its own, even for the same run
        f"difference x {AMPLIFIED}": AMPLIFIED * np.abs(second - first),
        "clean": pair.clean,
    }
    draw_comparison(images, picture, zoom_px=params.evaluate.zoom_px)
    first_db, second_db = (psnr(image, pair.clean, data_range=1.0) for image in made)
    return Change(pair.name, pair.level, first_db, second_db, _rms_255(first, second), picture)


def _rms_255(first: Image, second: Image) -> float:
    return 255 * float(np.sqrt(np.mean(np.square(second - first))))


def _rows(first: Mapping[str, str], second: Mapping[str, str], *, everything: bool) -> list[list[str]]:
    names = [*first, *(name for name in second if name not in first)]
    rows = [[name, first.get(name, MISSING), second.get(name, MISSING)] for name in names]
    return [row for row in rows if everything or row[1] != row[2]]


def _difference(first: float | None, second: float | None) -> str:
    return MISSING if first is None or second is None else f"{second - first:+.4g}"


def _table(head: list[str], rows: list[list[str]], kind: str) -> list[str]:
    if not rows:
        return [f"No {kind} differ."]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in lines
    ]

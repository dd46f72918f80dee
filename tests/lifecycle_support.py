"""A project whose model has been evaluated, without DVC and in a second: real files, small images."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from skimage.data import astronaut, chelsea

from degrain.build.generator import load_generator, read_description, save_generator
from degrain.build.released import released_path
from degrain.compute import start_engine
from degrain.data.noisy import COLUMNS, NoisySet, save_noisy
from degrain.drift.table import describe_noisy_sets, write_table
from degrain.evaluation import report
from degrain.evaluation.measure import measure
from degrain.files import sha256_file, write_image, write_rows
from degrain.lifecycle.evaluated import REFERENCE, RESTORED, WEIGHTS, folder_md5
from degrain.params import Params, load_params
from degrain.restore import Restorer
from degrain.seeding import seeded_generator
from support import ROOT, SMALL, merged

SIZE = 72  # pixels
PARAMS: dict[str, Any] = merged(
    SMALL,
    {
        "noise": {"gaussian": {"test": [25, 50]}},
        "evaluate": {"zoom_px": 32},
        "promote": {"ms_per_mpx": 1e9, "floor": {"psnr_db": 20.0, "ssim": 0.3}},
    },
)

# A tiny network after a few steps: far from the filters, on one small image.
LENIENT = PARAMS["promote"] | {
    "floor": {"psnr_db": 10.0, "ssim": 0.1},
    "over_noisy_db": -5.0,
    "over_filter_db": -20.0,
    "confidence": 0.0,
    "psnr_gain_db": 0.0,
}


def create_data(folder: Path, changes: dict[str, Any] | None = None) -> None:
    """Write params.yaml, the test images and their noisy copies."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    text = yaml.safe_dump(merged(merged(values, PARAMS), changes or {}))
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    raw, noisy = folder / "data/raw", folder / "data/noisy"
    photos = {"astronaut": astronaut()[20:, 150:], "chelsea": chelsea()[60:, 100:]}
    clean_rows, rows = [], []
    for name, photo in photos.items():
        image = (photo[:SIZE, :SIZE] / 255).astype(np.float32)
        path = raw / f"test/{name}.png"
        write_image(path, image)
        clean_rows.append({"name": name, "split": "test", "sha256": sha256_file(path)})
        for sigma in (25, 50):
            level = f"sigma_{sigma}"
            noise = torch.randn(1, 3, SIZE, SIZE, generator=seeded_generator(0, name, level)) * sigma / 255
            degraded = image + noise[0].numpy().transpose(1, 2, 0)
            file = save_noisy(degraded, noisy / "test" / level, name)
            row = (name, "test", level, float(sigma), sigma / 255, sha256_file(file))
            rows.append(dict(zip(COLUMNS, row, strict=True)))
    write_rows(raw / "manifest.csv", ["name", "split", "sha256"], clean_rows)
    write_rows(noisy / "manifest.csv", COLUMNS, sorted(rows, key=lambda row: row["value"]))
    write_table(folder / REFERENCE, describe_noisy_sets(noisy))


def train(worse: float = 0.0, seed: int = 0) -> None:
    """Put a generator in place as if it had been trained, and evaluate it.

    Parameters
    ----------
    worse : how much its weights are disturbed, relative to their spread.
    """
    released = released_path("faithful", 3)
    network, channels = load_generator(released)
    torch.manual_seed(seed)
    with torch.no_grad():
        for weights in network.parameters():
            weights += worse * weights.std(correction=0) * torch.randn_like(weights)
    save_generator(WEIGHTS, network, read_description(released)[0], channels)
    evaluate(load_params())


def evaluate(params: Params) -> None:
    """What the stage does, with one filter and one network."""
    engine, test = start_engine(params.compute), NoisySet("test")
    methods = {"noisy": lambda noisy, _: noisy, "mean": _mean, "adversarial": Restorer.load(WEIGHTS, engine)}
    results = measure(test, dict.fromkeys(test.levels, methods), RESTORED)
    report.write_results(results, Path("reports"), test)
    measured = {"model": sha256_file(WEIGHTS), "test": report.identify_test_set(test.rows)}
    report.write_speeds(Path("reports"), results, engine, 1, measured)
    write_lock()


def write_lock() -> None:
    """As DVC would have written it, as far as it is read."""
    outs = {
        "download": [Path("data/raw")],
        "synthesize": [Path("data/noisy"), REFERENCE],
        "pretrain": [],
        "train": [WEIGHTS.parent],
    }
    stages = {
        stage: {"outs": [{"path": path.as_posix(), "md5": _md5(path)} for path in paths]}
        for stage, paths in outs.items()
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")


def _md5(path: Path) -> str:
    return folder_md5(path) if path.is_dir() else hashlib.md5(path.read_bytes()).hexdigest()


def _mean(noisy: np.ndarray, sigma: float) -> np.ndarray:
    from degrain.baselines import mean

    return mean(noisy, 3 if sigma < 0.15 else 5)

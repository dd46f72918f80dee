"""What the pipeline evaluated last: the model, the test set, the results, and what DVC knows of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from degrain.data.noisy import NoisySet
from degrain.errors import DegrainError
from degrain.evaluation.report import identify_test_set
from degrain.evaluation.tables import Summary
from degrain.files import sha256_bytes, sha256_file

WEIGHTS = Path("models/train/generator.safetensors")
PRETRAINED = Path("models/pretrain/generator.safetensors")
METHOD = "adversarial"  # its name in the results
REPORTS, RESTORED, LOCK = Path("reports"), Path("data/restored"), Path("dvc.lock")
REFERENCE = REPORTS / "reference.csv"  # what incoming images are compared with
DATA_STAGES = ("download", "synthesize")
TRAINING_STAGES = ("download", "synthesize", "pretrain", "train")


@dataclass(frozen=True)
class Evaluated:
    """The evaluated model; `stages` are those of dvc.lock."""

    sha256: str
    test: NoisySet
    test_sha256: str
    stages: Mapping[str, Any]

    @cached_property
    def results(self) -> pd.DataFrame:
        """A row for each test image, level and method: name, level, method, psnr (dB), ssim."""
        # Without the default, an image called NA would be a missing value.
        return pd.read_csv(REPORTS / "results.csv", dtype={"name": str}, keep_default_na=False)

    @cached_property
    def summary(self) -> Summary:
        """Means over the images: method, then level, then psnr and ssim."""
        summary: Summary = json.loads((REPORTS / "metrics.json").read_text(encoding="utf-8"))["methods"]
        return summary

    def data_md5(self) -> dict[str, str]:
        """DVC's hashes of the data that went into the model, by path."""
        outs = [out for stage in DATA_STAGES for out in self.stages[stage]["outs"]]
        return {out["path"]: out["md5"] for out in outs if out["path"].startswith("data/")}

    def params_sha256(self) -> str:
        """One hash of all params that the model depends on, as dvc.lock has them."""
        used = {stage: self.stages[stage].get("params", {}) for stage in TRAINING_STAGES}
        return sha256_bytes(json.dumps(used, sort_keys=True).encode())


def load_evaluated() -> Evaluated:
    """The model of the working tree, if the last evaluation and dvc.lock are of it.

    Raises
    ------
    DegrainError : there is none, or the reports or dvc.lock are of another model or test set.
    """
    speed = REPORTS / "speed.json"
    for path in (WEIGHTS, speed, REPORTS / "results.csv", REPORTS / "metrics.json", REFERENCE, LOCK):
        if not path.is_file():
            msg = f"{path}: not found; expected an evaluated model: run `make repro` (or `dvc repro`)"
            raise DegrainError(msg)
    test = NoisySet("test")
    found = {"model": sha256_file(WEIGHTS), "test": identify_test_set(test.rows)}
    evaluated = json.loads(speed.read_text(encoding="utf-8"))["setting"]["sha256"]
    for key, sha256 in found.items():
        if evaluated.get(key) != sha256:
            msg = f"{speed}: evaluated the {key} {evaluated.get(key)}; found {sha256}: run `dvc repro`"
            raise DegrainError(msg)
    stages = yaml.safe_load(LOCK.read_text(encoding="utf-8"))["stages"]
    _check_lock(stages)
    return Evaluated(found["model"], test, found["test"], stages)


def _check_lock(stages: Mapping[str, Any]) -> None:
    found = {
        "train": (WEIGHTS.parent, folder_md5(WEIGHTS.parent)),
        "synthesize": (REFERENCE, _md5(REFERENCE)),
    }
    for stage, (path, md5) in found.items():
        known = {out["path"]: out["md5"] for out in stages[stage]["outs"]}.get(path.as_posix())
        if known != md5:
            msg = f"{LOCK}: {path} has md5 {known}; found {md5}: run `dvc repro`"
            raise DegrainError(msg)


def folder_md5(folder: Path) -> str:
    """The hash that DVC gives a folder: of a list of the files' hashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = [{"md5": _md5(path), "relpath": path.relative_to(folder).as_posix()} for path in files]
    listing = json.dumps(sorted(entries, key=lambda entry: entry["relpath"]))
    return f"{hashlib.md5(listing.encode()).hexdigest()}.dir"


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()

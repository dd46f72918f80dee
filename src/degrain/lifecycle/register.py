"""The evaluated model as a version of the registered model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from degrain.lifecycle.card import write_card
from degrain.lifecycle.evaluated import METHOD, PRETRAINED, REFERENCE, WEIGHTS, Evaluated
from degrain.params import Params
from degrain.tracking.describe import git_tags
from degrain.tracking.registry import CARD, Registry, Version


def register_evaluated(registry: Registry, evaluated: Evaluated, params: Params) -> Version:
    """Register the evaluated model with its tags, its card and what drift is told by; the same model again is
    the same version.
    """
    faithful = PRETRAINED if PRETRAINED.exists() else None
    version = registry.register(WEIGHTS, params, _tags(evaluated), once=git_tags(), faithful=faithful)
    with tempfile.TemporaryDirectory() as name:
        shutil.copy(REFERENCE, name)
        description = write_card(Path(name) / CARD, evaluated, params, version)
        registry.keep_card(version, Path(name), description)
    return registry.get(version.number)


def _tags(evaluated: Evaluated) -> dict[str, str]:
    quality = {
        f"evaluation.{level}": f"{measures['psnr']:.4f} dB, SSIM {measures['ssim']:.4f}"
        for level, measures in evaluated.summary[METHOD].items()
    }
    hashes = {f"dvc.md5.{path}": md5 for path, md5 in evaluated.data_md5().items()}
    return {
        **hashes,
        **quality,
        "dvc.params.sha256": evaluated.params_sha256(),
        "model.sha256": evaluated.sha256,
        "test.sha256": evaluated.test_sha256,
    }

"""A tiny study: two kinds of arms on crops of photographs, three steps each."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import skimage.data
import torch
import yaml

from degrain.build.generator import build_generator, save_generator
from degrain.files import to_channels, to_float, write_image
from experiments.adversarial.arms import Plans, load_plans
from experiments.adversarial.results import Results
from experiments.adversarial.run import run
from support import ROOT, SMALL, merged
from training_support import trained_like

if TYPE_CHECKING:
    from degrain.params import Params

PLACES = {"train": (100, 200), "val": (150, 250), "test": (40, 180)}
PHOTOS = {"train": ["coffee"], "val": ["chelsea"], "test": ["astronaut", "rocket"]}
BASE = {
    "compute": SMALL["compute"],
    "data": {"channels": 1, "min_side": 48},
    "noise": {"gaussian": {"test": [25]}},
    "patches": {"side_px": 48, "stride": 40, "scales": [1]},
    "model": SMALL["model"],
    "validation": SMALL["validation"],
    "pretrain": SMALL["pretrain"],
    "train": merged(SMALL["train"], {"health": {"window": 2}}),
}
ARMS = {
    "start": {"title": "start", "group": "references", "trains": "nothing"},
    "pixel": {"title": "pixel loss", "group": "references", "trains": "pixel"},
    "variational": {
        "title": "VAE",
        "group": "references",
        "trains": "variational",
        "divergence_weight": 1e-5,
    },
    "non-saturating": {"title": "default", "group": "losses"},
    "hinge": {"title": "hinge", "group": "losses", "set": {"train": {"adversarial": {"loss": "hinge"}}}},
}
STUDY = {
    "table": "results",
    "preset": "grey-benchmark",
    "start": "start.safetensors",
    "seeds": 2,
    "steps": 3,
    "images": 2,
    "strip": ["pixel", "hinge"],
}


class Bench:
    """A folder with a tiny study in it."""

    def __init__(self, folder: Path) -> None:
        self.out, self.work, self.file = folder / "out", folder / "work", folder / "tiny.yaml"
        self.work.mkdir()
        self.values: dict[str, Any] = copy.deepcopy(STUDY | {"base": BASE, "arms": ARMS})
        sets = {split: [f"folder:{folder / split}"] for split in PHOTOS}
        self.values["base"] = merged(BASE, {"data": sets})
        for split, names in PHOTOS.items():
            for name in names:
                y, x = PLACES[split]
                pixels = getattr(skimage.data, name)()[y : y + 64, x : x + 96]
                write_image(folder / split / f"{name}.png", to_channels(to_float(pixels), 1))
        self.file.touch()
        torch.manual_seed(0)
        params = self._params()
        network = trained_like(build_generator(params.model, 1))
        with torch.no_grad():
            network.tail.weight.mul_(0.01)  # near its input: nothing is ruined by a step
        save_generator(folder / "start.safetensors", network, params.model, 1)

    def _params(self) -> Params:
        plans = self.plans()
        return plans.params(plans.rows()[0])

    def plans(self, changes: dict[str, Any] | None = None) -> Plans:
        self.file.write_text(yaml.safe_dump(merged(self.values, changes or {}), sort_keys=False))
        return load_plans(self.file, {}, top=ROOT)

    def results(self, plans: Plans) -> Results:
        return Results(plans.study, self.out)

    def run(self, *names: str, changes: dict[str, Any] | None = None) -> Results:
        """Run it; call it with the working folder as the current one."""
        plans = self.plans(changes)
        run(plans, self.results(plans), names)
        return self.results(plans)

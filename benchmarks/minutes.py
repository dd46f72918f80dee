"""Minutes of training to pass BM3D and DnCNN on BSD68 at sigma 25.

    degrain preset grey-benchmark && dvc repro synthesize
    python -m benchmarks.minutes             # the first takes a minute or two, the second half an hour
    python -m benchmarks.minutes BM3D

Trainings from nothing at sigma 25 alone, each with a schedule that ends when it should have passed; time
is that of the steps, batches included, without the measuring. Writes reports/benchmark/minutes.csv;
rows of goals that were not asked for are kept.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from benchmarks.standard.methods import Method
from benchmarks.standard.quality import load_set, measure_quality
from benchmarks.throughput import training
from degrain.compute import Engine, start_engine
from degrain.files import write_csv
from degrain.params import Params, load_params
from degrain.restore import Restorer
from degrain.training.loop import Plan, advance, prepared
from degrain.training.state import TrainState

SIGMA, BATCH = 25, 8
REPORT = Path("reports/benchmark/minutes.csv")


@dataclass(frozen=True)
class Goal:
    """What is to be passed, its published PSNR in dB, and a training that should."""

    published_psnr: float
    unet: dict[str, object]
    steps: int
    patch_size: int
    lr: float

    def params(self, params: Params) -> Params:
        """The params of the training: a U-Net, from nothing, at one level, Muon."""
        unet = params.model.unet.model_copy(update=self.unet)
        level = params.noise.gaussian.model_copy(update={"train": float(SIGMA)})
        settings: dict[str, object] = {"start": "none", "optimizer": "muon", "warmup_steps": 50}
        settings |= {"lr": self.lr, "steps": self.steps, "batch_size": BATCH, "patch_size": self.patch_size}
        changed = {
            "model": params.model.model_copy(update={"unet": unet}),
            "noise": params.noise.model_copy(update={"kind": "gaussian", "gaussian": level}),
            "pretrain": params.pretrain.model_copy(update=settings),
        }
        return params.model_copy(update=changed)


PLAIN = {"widths": (32, 64, 128), "blocks": (2, 2, 4), "stem_stride": 1, "equivariant": False}
EQUIVARIANT = {"widths": (96, 128, 160), "blocks": (4, 2, 2), "stem_stride": 2, "equivariant": True}
GOALS = {
    "BM3D": Goal(28.57, PLAIN, 300, 64, 0.003),
    "DnCNN-S": Goal(29.23, EQUIVARIANT, 3_000, 96, 0.001),
}


def train(state: TrainState, plan: Plan) -> float:
    """Train to the end; returns the seconds it took."""
    start, steps = time.perf_counter(), plan.settings.steps
    for batch in tqdm(prepared(plan.data, 0, steps, state.engine), "training", steps):
        advance(state, batch, plan)
    return time.perf_counter() - start


def measured(state: TrainState, engine: Engine) -> float:
    """PSNR on BSD68 of the averaged weights, in dB."""
    restorer = Restorer(copy.deepcopy(state.ema.network), 1, engine)
    method = Method("degrain", lambda _: restorer, "")
    row = measure_quality(method, "bsd68", load_set("bsd68"), SIGMA, workers=1)
    return float(str(row["psnr"]))


def measure(name: str, params: Params, engine: Engine) -> dict[str, object]:
    """Train for one goal; returns a row of the report."""
    goal = GOALS[name]
    state, plan = training("pretrain", goal.params(params), engine)
    seconds = train(state, plan)
    return {
        "to_pass": name,
        "published_psnr": goal.published_psnr,
        "minutes": round(seconds / 60, 2),
        "psnr": measured(state, engine),
        "megapixels_seen": round(goal.steps * BATCH * goal.patch_size**2 / 1e6),
        "engine": str(engine),
        "threads": params.compute.threads,
    }


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("goals", nargs="*", choices=GOALS, help="what to pass (default: both)")
    goals, params = parser.parse_args().goals or GOALS, load_params()
    if params.data.channels != 1:
        advice = "degrain preset grey-benchmark, then dvc repro synthesize"
        sys.exit(f"data.channels = {params.data.channels}; expected 1: {advice}")
    engine = start_engine(params.compute)
    for name in goals:
        rows = pd.read_csv(REPORT).to_dict("records") if REPORT.exists() else []
        kept = [row for row in rows if row["to_pass"] != name]
        row = measure(name, params, engine)
        write_csv(REPORT, pd.DataFrame([*kept, row]).sort_values("published_psnr"))
        print(row)


if __name__ == "__main__":
    main()

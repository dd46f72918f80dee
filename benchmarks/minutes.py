"""Minutes of training to pass BM3D and DnCNN on BSD68 at sigma 25.

    python -m benchmarks.minutes        # after `degrain preset grey-benchmark && dvc repro synthesize`

Two trainings from nothing at sigma 25 alone, each with a schedule that ends when it should have
passed; time is that of the steps, batches included, without the measuring. Writes
reports/benchmark/minutes.csv.
"""

from __future__ import annotations

import copy
import time
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
from degrain.training.loop import Plan, advance, on_device
from degrain.training.state import TrainState

SIGMA = 25
# Name and published PSNR of what is to be passed, steps of 8 patches of 64x64.
GOALS = (("BM3D", 28.57, 1_800), ("DnCNN-S", 29.23, 20_000))


def for_steps(params: Params, steps: int) -> Params:
    """The params of one training: from nothing, at one level, so many steps."""
    level = params.noise.gaussian.model_copy(update={"train": float(SIGMA)})
    pretrain = params.pretrain.model_copy(update={"steps": steps, "start": "none"})
    noise = params.noise.model_copy(update={"kind": "gaussian", "gaussian": level})
    return params.model_copy(update={"noise": noise, "pretrain": pretrain})


def train(state: TrainState, plan: Plan) -> float:
    """Train to the end; returns the seconds it took."""
    start, steps = time.perf_counter(), plan.settings.steps
    for batch in tqdm(on_device(plan.data.batches(0, steps), state.engine), "training", steps):
        advance(state, batch, plan)
    return time.perf_counter() - start


def measured(state: TrainState, engine: Engine) -> float:
    """PSNR on BSD68 of the averaged weights, in dB."""
    restorer = Restorer(copy.deepcopy(state.ema.network), 1, engine)
    method = Method("degrain", lambda _: restorer, "")
    row = measure_quality(method, "bsd68", load_set("bsd68"), SIGMA, workers=1)
    return float(str(row["psnr"]))


def main() -> None:
    """Train, measure, write."""
    params = load_params()
    engine = start_engine(params.compute)
    rows = []
    for name, goal, steps in GOALS:
        state, plan = training("pretrain", for_steps(params, steps), engine)
        seconds = train(state, plan)
        pixels = steps * plan.settings.batch_size * plan.settings.patch_size**2
        rows.append(
            {
                "to_pass": name,
                "published_psnr": goal,
                "minutes": round(seconds / 60, 2),
                "psnr": measured(state, engine),
                "megapixels_seen": round(pixels / 1e6),
                "engine": str(engine),
                "threads": params.compute.threads,
            }
        )
        write_csv(Path("reports/benchmark/minutes.csv"), pd.DataFrame(rows))
        print(rows[-1])


if __name__ == "__main__":
    main()

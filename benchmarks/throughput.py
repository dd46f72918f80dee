"""How much of the training rate is lost on data: the real batches against one kept in memory.

    python benchmarks/throughput.py            # after `dvc repro`; writes reports/throughput.json

Both are timed in turn, several times in one run, because machines are shared and noisy.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from degrain.build.discriminator import build_discriminator
from degrain.build.generator import build_generator
from degrain.build.pixel_losses import PIXEL
from degrain.compute import Engine, start_engine
from degrain.data.patches import Batch
from degrain.files import write_json
from degrain.params import Params, load_params
from degrain.training.adversarial import adversarial_step, discriminator_player
from degrain.training.loop import Plan, advance, prepared
from degrain.training.pixel import PixelStep
from degrain.training.setup import patch_dataset, start_state
from degrain.training.state import TrainState
from degrain.training_params import Optimisation

ROUNDS, STEPS = 5, 20


def training(stage: str, params: Params, engine: Engine) -> tuple[TrainState, Plan]:
    """A stage's training at its first step."""
    torch.manual_seed(params.seed)
    settings: Optimisation = getattr(params, stage)
    generator = build_generator(params.model, params.data.channels)
    data = patch_dataset(params, settings, stage)
    if stage == "pretrain":
        step = PixelStep(PIXEL[params.pretrain.loss], params.pretrain.balance_levels)
        return start_state(generator, settings, engine), Plan(settings, data, step, lambda _: {})
    critic = build_discriminator(
        params.train.discriminator, params.data.channels, side_px=params.train.patch_size
    )
    player = discriminator_player(critic, params.train.discriminator_lr, engine)
    state = start_state(generator, settings, engine, discriminator=player)
    return state, Plan(settings, data, adversarial_step(params.train, player, seed=params.seed), lambda _: {})


def seconds(state: TrainState, plan: Plan, batches: Iterator[Batch]) -> float:
    """Time of STEPS steps."""
    start = time.perf_counter()
    for batch in itertools.islice(batches, STEPS):
        advance(state, batch, plan)
    if state.engine.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(stage: str, params: Params, engine: Engine) -> dict[str, float]:
    """Mpx/s with real batches and with one batch kept in memory, and their ratio, as medians."""
    state, plan = training(stage, params, engine)
    real = prepared(plan.data, 0, (2 * ROUNDS + 2) * STEPS, engine)
    kept = itertools.repeat(next(real))
    seconds(state, plan, kept)
    pairs = [(seconds(state, plan, real), seconds(state, plan, kept)) for _ in range(ROUNDS)]
    megapixels = STEPS * plan.settings.batch_size * plan.settings.patch_size**2 / 1e6
    return {
        "real_batches_mpx_per_s": round(megapixels / statistics.median(real_s for real_s, _ in pairs), 4),
        "one_batch_mpx_per_s": round(megapixels / statistics.median(kept_s for _, kept_s in pairs), 4),
        "ratio": round(statistics.median(kept_s / real_s for real_s, kept_s in pairs), 3),
    }


def main() -> None:
    """Measure both stages, in the precision of this machine and in float32, and write the report."""
    params = load_params()
    report: dict[str, object] = {"threads": params.compute.threads}
    for precision in (params.compute.precision, "float32"):
        engine = start_engine(params.compute.model_copy(update={"precision": precision}))
        if str(engine) not in report:
            stages = {stage: measure(stage, params, engine) for stage in ("pretrain", "train")}
            report[str(engine)] = stages
            print(engine, stages)
    write_json(Path("reports/throughput.json"), report)


if __name__ == "__main__":
    main()

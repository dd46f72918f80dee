"""How near training comes to what its convolutions alone would take.

    make benchmark-train                       # after `dvc repro`; writes reports/train_floor.json

In one run, in turns: the whole training (data, optimiser, averaging, logging, validation,
checkpoints), its step on a batch kept in memory, its convolutions alone, forward and backward, in
the engine's precision and layout, and the step as public trainers do it on a processor: float32,
channels first. FLOPs are two for each multiplication with its addition, of the convolutions alone.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from benchmarks.flops import Convolution, convolutions, macs
from benchmarks.throughput import seconds, training
from degrain.build.pixel_losses import PIXEL
from degrain.compute import Engine, start_engine
from degrain.files import write_json
from degrain.params import Params, load_params
from degrain.tracking import training_run
from degrain.training.checkpoint import Checkpoint
from degrain.training.loop import Plan, fit, prepared
from degrain.training.setup import validator

ROUNDS, STEPS = 3, 40


def alone(found: list[Convolution], engine: Engine) -> Callable[[], float]:
    """What gives the seconds that the convolutions take, forward and backward, one after the other."""
    kinds = Counter(
        (type(layer), layer.weight.shape, layer.stride, layer.padding, layer.bias is not None, shape)
        for layer, shape in found
    )
    ready = []
    for (kind, weights, stride, padding, bias, shape), count in kinds.items():
        outputs = weights[1] if kind is nn.ConvTranspose2d else weights[0]
        layer = kind(shape[1], outputs, weights[2:], stride=stride, padding=padding, bias=bias)
        layer = engine.place(layer).to(engine.dtype)
        given = engine.send(torch.randn(shape)).to(engine.dtype).requires_grad_()
        gradient = torch.randn_like(layer(given))
        ready.append((layer, given, gradient, count))

    def run() -> float:
        start = time.perf_counter()
        for layer, given, gradient, count in ready:
            for _ in range(count):
                layer.zero_grad()
                given.grad = None  # nothing is added up
                layer(given).backward(gradient)
        return time.perf_counter() - start

    return run


def whole(params: Params, engine: Engine, folder: Path) -> float:
    """Seconds a step of a training as it is: validated as often, logged, saved."""
    settings = params.pretrain.model_copy(update={"steps": params.pretrain.validate_every})
    state, plan = training("pretrain", params, engine)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    checkpoint = Checkpoint("benchmark", "train_floor", root=folder)
    with training_run("pretrain", params, checkpoint.folder) as log:
        plan = Plan(settings, plan.data, plan.step, validator(params, log.log_picture))
        start = time.perf_counter()
        fit(state, plan, checkpoint=checkpoint, log=log, name="whole training")
        return (time.perf_counter() - start) / settings.steps


def channels_first(params: Params) -> Callable[[], float]:
    """What gives the seconds a step takes in float32 and channels first, on a batch kept in memory."""
    engine = start_engine(params.compute.model_copy(update={"precision": "float32"}))
    state, plan = training("pretrain", params, engine)
    network = state.generator.network.to(memory_format=torch.contiguous_format)
    batch, loss = next(prepared(plan.data, 0, 1, engine)), PIXEL[params.pretrain.loss]

    def run() -> float:
        start = time.perf_counter()
        for _ in range(STEPS // 4):
            network.zero_grad()
            loss(network(batch.noisy, batch.sigma), batch.clean).mean().backward()
            state.generator.optimizer.step()
        return (time.perf_counter() - start) / (STEPS // 4)

    return run


def main() -> None:
    """Measure in turns, write, print."""
    params = load_params()
    engine = start_engine(params.compute)
    state, plan = training("pretrain", params, engine)
    kept = next(prepared(plan.data, 0, 1, engine))
    found = convolutions(state.generator.network, kept.noisy, kept.sigma)
    # Forward, and twice that backward.
    flops = 3 * 2 * macs(found) / (len(kept.noisy) * kept.noisy[0, 0].numel())
    floor, public = alone(found, engine), channels_first(params)
    start_engine(params.compute)
    times: dict[str, list[float]] = {"floor": [], "kept": [], "public": [], "whole": []}
    floor(), public(), seconds(state, plan, itertools.repeat(kept))
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS):
            times["floor"].append(statistics.median(floor() for _ in range(STEPS)))
            times["kept"].append(seconds(state, plan, itertools.repeat(kept)) / 20)
            times["public"].append(public())
            times["whole"].append(whole(params, engine, Path(folder, str(turn))))
    report = summary(times, flops, params, engine)
    write_json(Path("reports/train_floor.json"), report)
    for name, value in report.items():
        print(f"{name:42} {value}")


def summary(
    times: dict[str, list[float]], flops: float, params: Params, engine: Engine
) -> dict[str, float | str]:
    """Medians as rates and shares."""
    pixels = params.pretrain.batch_size * params.pretrain.patch_size**2
    floor_s, kept_s, public_s, whole_s = (statistics.median(times[name]) for name in times)
    return {
        "engine": str(engine),
        "threads": params.compute.threads,
        "model_flops_per_pixel": round(flops),
        "convolutions_alone_tflops": round(flops * pixels / floor_s / 1e12, 3),
        "whole_training_tflops": round(flops * pixels / whole_s / 1e12, 3),
        "share_of_floor": round(floor_s / whole_s, 3),
        "step_on_one_batch_share_of_floor": round(floor_s / kept_s, 3),
        "data_and_bookkeeping_overhead": round(whole_s / kept_s - 1, 3),
        "whole_training_mpx_per_s": round(pixels / whole_s / 1e6, 4),
        "float32_channels_first_mpx_per_s": round(pixels / public_s / 1e6, 4),
        "times_as_fast_as_float32_channels_first": round(public_s / whole_s, 2),
    }


if __name__ == "__main__":
    main()

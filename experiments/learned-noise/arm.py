"""Train one arm of the experiment in its folder, arms/NAME; dvc.yaml runs this there."""

from pathlib import Path

import numpy as np
import torch
import yaml

from degrain.build.generator import save_generator
from degrain.compute import start_engine
from degrain.data.pairs import make_pair_sets
from degrain.files import atomic_write, sha256_bytes, sha256_file
from degrain.params import Params
from degrain.stages import pretrain, synthesize
from degrain.stages._main import run
from degrain.training.checkpoint import Checkpoint
from degrain.training.loop import Plan, fit
from degrain.training.setup import patch_dataset, validator

RAW, HERE = Path("../../data/raw"), Path("data/raw")
NOISY, SIGMAS = Path("data/noisy"), Path("data/patches/sigma.npy")
# What the arm of true pairs is told of every photograph, in units of 255: about what suits the released
# generator. `noise_level` takes the noise for white, and finds a tenth of it.
PAIRS_255 = 10
PIPELINE = Path("../../dvc.yaml")
GENERATOR = Path("models/generator.safetensors")


class Silence:
    """No MLflow: the table is the result."""

    def log_metrics(self, step: int, metrics: dict[str, float]) -> None:
        """Drop them."""

    def flush(self) -> None:
        """Nothing is kept back."""


def main(params: Params) -> None:
    """The stages synthesize and pretrain on the images of the experiment."""
    HERE.parent.mkdir(exist_ok=True)
    if not HERE.is_symlink():
        HERE.symlink_to(Path("..") / RAW)
    synthesize.main(params)
    if params.noise.kind == "pairs":
        tell_one_level(PAIRS_255 / 255)
    engine = start_engine(params.compute)
    torch.manual_seed(params.seed)
    state, step = pretrain.start(params, engine)
    data = patch_dataset(params, params.pretrain, "pretrain")
    plan = Plan(params.pretrain, data, step, validator(params, lambda *_: None))
    checkpoint = Checkpoint("arm", key(params))
    fit(state, plan, checkpoint=checkpoint, log=Silence(), name=Path.cwd().name)
    save_generator(GENERATOR, state.ema.network, params.model, params.data.channels)
    checkpoint.finish()


def tell_one_level(sigma: float) -> None:
    """In place of what is estimated of each photograph."""
    sigmas = np.full_like(np.load(SIGMAS, allow_pickle=False), sigma)
    with atomic_write(SIGMAS) as aside, aside.open("wb") as file:
        np.save(file, sigmas, allow_pickle=False)
    make_pair_sets(HERE, NOISY, lambda _: sigma)


def key(params: Params) -> str:
    """Hash of all that decides the result: params, declared files, the generator of the noise."""
    declared = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["stages"]["arm"]["do"]["deps"]
    fixed = [Path(dependency) for dependency in declared if "$" not in dependency]
    files = [file for path in fixed for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    learned = [Path(params.noise.learned_generator)] if params.noise.learned_generator else []
    hashes = [sha256_file(file) for file in [*files, *learned] if file.is_file() and file.suffix != ".pyc"]
    return sha256_bytes(" ".join([params.model_dump_json(), *hashes]).encode())[:16]


if __name__ == "__main__":
    run(main)

"""Train one arm of the experiment in its folder, arms/NAME; dvc.yaml runs this there."""

from pathlib import Path

import torch
import yaml

from degrain.build.generator import save_generator
from degrain.compute import start_engine
from degrain.files import sha256_bytes, sha256_file
from degrain.params import Params
from degrain.stages import pretrain, synthesize
from degrain.stages._main import run
from degrain.training.checkpoint import Checkpoint
from degrain.training.loop import Plan, fit
from degrain.training.setup import patch_dataset, validator

RAW, HERE = Path("../../data/raw"), Path("data/raw")
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
    engine = start_engine(params.compute)
    torch.manual_seed(params.seed)
    state, step = pretrain.start(params, engine)
    data = patch_dataset(params, params.pretrain, "pretrain")
    plan = Plan(params.pretrain, data, step, validator(params, lambda *_: None))
    checkpoint = Checkpoint("arm", key(params))
    fit(state, plan, checkpoint=checkpoint, log=Silence(), name=Path.cwd().name)
    save_generator(GENERATOR, state.ema.network, params.model, params.data.channels)
    checkpoint.finish()


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

"""A generator as an MLflow model: code, weights and what they need, without any pickle."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

from degrain.tracking.session import Session
from degrain.tracking.store import Store

PACKAGE = Path(__file__).parents[1]
CODE = PACKAGE / "mlflow_model.py"  # MLflow runs this file; nothing here imports it


# The released weights would be kept with every model once more.
NOT_CODE = shutil.ignore_patterns("weights", "__pycache__")

# What restoring an image takes.
REQUIREMENTS = (
    "imagecodecs",
    "mlflow",
    "numpy",
    "pillow",
    "pydantic",
    "pywavelets",
    "pyyaml",
    "safetensors",
    "scipy",
    "tifffile",
    "torch",
    "tqdm",
)


Interface = Literal["generator", "service"]


def deliver_generator(
    session: Session,
    interface: Interface,
    weights: Path,
    faithful: Path | None = None,
    package: Path = PACKAGE,
) -> str:
    """Log a generator's safetensors file with the code that runs it; returns the id of the logged model.

    The package goes along with the weights, so that the model loads where degrain is not installed
    and keeps its meaning when the code moves on.

    Parameters
    ----------
    interface : generator, for arrays, or service, for image files: the model's name, and its signature.
    faithful : the weights that the training started from, the other end of the dial.
    package : the folder of the code.
    """
    import mlflow
    from mlflow.models import Model

    mlflow.set_experiment(experiment_id=session.store.experiment_id)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        code = shutil.copytree(package, Path(folder) / PACKAGE.name, ignore=NOT_CODE)
        artifacts = {"weights": str(weights)}
        if faithful:  # under a name of its own: both files are called the same
            artifacts["faithful"] = str(shutil.copy(faithful, Path(folder) / "faithful.safetensors"))
        # The first is about classes of MLflow's own; an example would only repeat the signature.
        for message in (".*Any type hint is inferred as AnyType", ".*input example was not provided"):
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        # mlflow.pyfunc.log_model is the same for an active run, which ours is not: that would end it.
        logged = Model.log(
            None,
            mlflow.pyfunc,
            name=interface,
            run_id=session.run_id,
            python_model=str(package / CODE.name),
            artifacts=artifacts,
            code_paths=[str(code)],
            signature=_signature(interface),
            pip_requirements=_requirements(),
        )
    return str(logged.model_id)


def logged_model_of(store: Store, run_id: str, interface: Interface) -> str | None:
    """The id of the model that a run has logged under this name, whole; None if there is none."""
    models = store.client.search_logged_models(
        [store.experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    whole = (model for model in models if model.name == interface and str(model.status) == "READY")
    return next((str(model.model_id) for model in whole), None)


def _requirements() -> list[str]:
    """The versions at work, less local labels such as +cpu, which no package index has."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS]


def _signature(interface: Interface) -> object:
    """Arrays (B, H, W, C) of any size in, the same out; or files as base64 in, the same out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    arrays = Schema([TensorSpec(np.dtype(np.float32), (-1, -1, -1, -1))])
    images = arrays if interface == "generator" else Schema([ColSpec(DataType.string)])
    defaults = {"sigma_255": -1.0, "strength": 1.0, "dial": 1.0}
    params = ParamSchema([ParamSpec(name, DataType.double, value) for name, value in defaults.items()])
    return ModelSignature(images, images, params)

from __future__ import annotations

from importlib.metadata import packages_distributions, requires
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from degrain.build.generator import build_generator, save_generator
from degrain.compute import start_engine
from degrain.files import sha256_file
from degrain.params import Compute, parse_params
from degrain.restore import Restorer
from degrain.tracking import training_run
from mlflow_support import enter_project, python
from support import SMALL, merged

WEIGHTS = Path("generator.safetensors")
SIZES = [(1, 1), (37, 51), (64, 48)]
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")  # the last is torch.save's


@pytest.fixture(scope="module")
def logged(tmp_path_factory, default_values):
    """The folder of a model that a training has logged, the same without MLflow, the project, the files."""
    params = parse_params(merged(default_values, SMALL))
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        enter_project(folder, patch)
        torch.manual_seed(0)
        save_generator(WEIGHTS, random_generator(params), params.model, 3)
        with training_run("pretrain", params, Path(".checkpoints"), data=[Path("data.csv")]) as run:
            run.log_generator(WEIGHTS)
        [model] = folder.glob("mlartifacts/models/*/artifacts")
        compute = Compute(device="auto", precision="auto", threads=1)
        files = [path for path in model.rglob("*") if path.is_file()]  # before loading adds compiled ones
        yield model, Restorer.load(folder / WEIGHTS, start_engine(compute)), folder, files


def random_generator(params):
    """One that changes images: a fresh one returns its input."""
    generator = build_generator(params.model, 3)
    with torch.no_grad():
        for weights in generator.parameters():
            weights.normal_(std=0.1)
    return generator


@pytest.fixture(scope="module")
def model(logged):
    import mlflow

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        patch.syspath_prepend("")  # MLflow changes sys.path; this puts it back
        yield mlflow.pyfunc.load_model(str(logged[0]))


def noisy_image(height, width, channels=3):
    return np.random.default_rng(0).random((height, width, channels), dtype=np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("params", [{}, {"sigma_255": 25.0}])
def test_logged_model_restores_any_size(model, logged, size, params):
    images = np.stack([noisy_image(*size), 1 - noisy_image(*size)])
    restored = model.predict(images, params=params)
    sigma = 25 / 255 if params else None
    expected = np.stack([logged[1](image, sigma) for image in images])
    assert restored.dtype == np.float32
    assert np.array_equal(restored, expected)
    assert not np.allclose(restored, images, atol=1e-3)


def test_level_of_noise_is_in_units_of_255(model, logged):
    image = noisy_image(37, 51)
    restored = model.predict(image[None], params={"sigma_255": 51.0})[0]
    assert np.array_equal(restored, logged[1](image, 0.2))
    assert not np.allclose(restored, logged[1](image, 0.1), atol=1e-4)


def test_logged_model_takes_grey_images(model):
    assert model.predict(noisy_image(20, 30, 1)[None], params={"sigma_255": 25.0}).shape == (1, 20, 30, 1)


@pytest.mark.parametrize("images", [noisy_image(9, 9), noisy_image(9, 9)[None].astype(np.float64)])
def test_signature_refuses_what_is_no_float32_batch(model, images):
    with pytest.raises(Exception, match="schema"):
        model.predict(images)


def test_logged_model_holds_no_pickle(logged):
    files = logged[3]
    assert {"MLmodel", "mlflow_model.py", "generator.safetensors", "restore.py"} <= {
        path.name for path in files
    }
    assert [path for path in files if path.read_bytes().startswith(PICKLES)] == []
    assert {path.suffix for path in files} <= {"", ".py", ".typed", ".csv", ".txt", ".yaml", ".safetensors"}


def test_logged_model_has_its_hash(logged):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{logged[2] / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("degrain").experiment_id
    [run] = client.search_runs([experiment])
    [stored] = client.search_logged_models([experiment])
    assert run.data.tags["model.sha256"] == sha256_file(logged[2] / WEIGHTS)
    assert run.outputs.model_outputs[0].model_id == stored.model_id
    assert (stored.source_run_id, stored.status) == (run.info.run_id, "READY")
    assert run.info.status == "FINISHED"


ELSEWHERE = """
import sys
model, *missing = sys.argv[1:]
sys.modules.update(dict.fromkeys(missing))
import mlflow, numpy
restore = mlflow.pyfunc.load_model(model).predict
noisy = numpy.load("noisy.npy")
restore(noisy)
numpy.save("restored.npy", restore(noisy, params={"sigma_255": 25.0}))
import degrain; print(degrain.__file__)
"""


def test_logged_model_works_with_its_own_code_and_requirements_alone(logged, tmp_path):
    """As on another machine, where neither degrain nor anything else is installed."""
    model, restore, *_ = logged
    needed = with_what_they_need((model / "requirements.txt").read_text().split())
    missing = [
        module
        for module, owners in packages_distributions().items()
        if not needed & {canonicalize_name(owner) for owner in owners} and module != "degrain"
    ]
    assert {"dvc", "pooch", "skimage"} <= set(missing)
    np.save(tmp_path / "noisy.npy", noisy_image(37, 51)[None])
    variables = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = python(ELSEWHERE, tmp_path, str(model), *missing, PYTHONPATH="", **variables)
    package, complaint = process.communicate()
    assert process.returncode == 0, complaint
    assert Path(package.strip()).is_relative_to(model / "code")
    restored = np.load(tmp_path / "restored.npy")[0]
    assert np.allclose(restored, restore(noisy_image(37, 51), 25 / 255), atol=0.02)


def with_what_they_need(requirements):
    """The names of packages and, without extras, of all that they require."""
    names, waiting = set(), [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and name not in names:
            names.add(name)
            waiting += [Requirement(text) for text in requires(name) or ()]
    return names

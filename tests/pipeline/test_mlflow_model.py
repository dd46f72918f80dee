from __future__ import annotations

import base64
import io
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import tifffile
import torch
from mlflow.exceptions import MlflowException
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image as Pillow

from degrain.build.dial import load_between
from degrain.build.generator import build_generator, save_generator
from degrain.codecs.png import encode_png
from degrain.compute import start_engine
from degrain.denoise import denoise_paths
from degrain.files import from_float, sha256_file
from degrain.mlflow_model import GeneratorModel
from degrain.params import Compute, parse_params
from degrain.pictures import decode_picture, read_picture
from degrain.restore import Restorer
from degrain.tracking import training_run
from mlflow_support import enter_project, python
from support import SMALL, merged

# Both ends of the dial, called the same as those of the pipeline are.
PRETRAINED, WEIGHTS = (Path(f"models/{stage}/generator.safetensors") for stage in ("pretrain", "train"))
SIZES = [(1, 1), (37, 51), (64, 48)]
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")  # the last is torch.save's


class Logged(NamedTuple):
    """What a training has logged: folders of the models, all their files; the same without MLflow."""

    project: Path
    generator: Path
    service: Path
    files: list[Path]
    restore: Restorer


@pytest.fixture(scope="module")
def logged(tmp_path_factory, default_values):
    params = parse_params(merged(default_values, SMALL))
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        enter_project(folder, patch)
        torch.manual_seed(0)
        for weights in (WEIGHTS, PRETRAINED):
            save_generator(weights, random_generator(params), params.model, 3)
        with training_run("train", params, Path(".checkpoints"), data=[Path("data.csv")]) as run:
            run.log_generator(WEIGHTS, PRETRAINED)
        models = {model.name: model for model in logged_models(folder)}
        generator, service = (
            Path(models[name].artifact_location.removeprefix("file://")) for name in ("generator", "service")
        )
        compute = Compute(device="auto", precision="auto", threads=1)
        restore = Restorer.load(folder / WEIGHTS, start_engine(compute))
        # Listed before loading adds compiled ones.
        files = [path for model in (generator, service) for path in model.rglob("*") if path.is_file()]
        yield Logged(folder, generator, service, files, restore)


def logged_models(folder):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    return client.search_logged_models([client.get_experiment_by_name("degrain").experiment_id])


def random_generator(params):
    """One that changes images: a fresh one returns its input."""
    generator = build_generator(params.model, 3)
    with torch.no_grad():
        for weights in generator.parameters():
            weights.normal_(std=0.1)
    return generator


@pytest.fixture(scope="module")
def loaded(logged):
    import mlflow

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        patch.syspath_prepend("")  # MLflow changes sys.path; this puts it back
        yield [mlflow.pyfunc.load_model(str(folder)) for folder in (logged.generator, logged.service)]


@pytest.fixture
def model(loaded):
    return loaded[0]


@pytest.fixture
def service(loaded):
    return loaded[1]


def noisy_image(height, width, channels=3):
    return np.random.default_rng(0).random((height, width, channels), dtype=np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("params", [{}, {"sigma_255": 25.0}])
def test_logged_model_restores_any_size(model, logged, size, params):
    images = np.stack([noisy_image(*size), 1 - noisy_image(*size)])
    restored = model.predict(images, params=params)
    sigma = 25 / 255 if params else None
    expected = np.stack(logged.restore.restore_all(list(images), sigma))
    assert restored.dtype == np.float32
    assert np.array_equal(restored, expected)
    nothing_seen = sigma is None and size == (1, 1)  # in a single pixel there is no telling
    assert np.allclose(restored, images, atol=1e-3) == nothing_seen


def test_level_of_noise_is_in_units_of_255(model, logged):
    image = noisy_image(37, 51)
    restored = model.predict(image[None], params={"sigma_255": 51.0})[0]
    assert np.array_equal(restored, logged.restore(image, 0.2))
    assert not np.allclose(restored, logged.restore(image, 0.1), atol=1e-4)


def test_logged_model_takes_grey_images(model):
    assert model.predict(noisy_image(20, 30, 1)[None], params={"sigma_255": 25.0}).shape == (1, 20, 30, 1)


@pytest.mark.parametrize("images", [noisy_image(9, 9), noisy_image(9, 9)[None].astype(np.float64)])
def test_signature_refuses_what_is_no_float32_batch(model, images):
    with pytest.raises(Exception, match="schema"):
        model.predict(images)


def test_logged_model_holds_no_pickle(logged):
    files = logged.files
    assert {"MLmodel", "mlflow_model.py", "generator.safetensors", "faithful.safetensors", "restore.py"} <= {
        path.name for path in files
    }
    assert [path for path in files if path.read_bytes().startswith(PICKLES)] == []
    assert {path.suffix for path in files} <= {
        "",
        ".py",
        ".html",
        ".typed",
        ".csv",
        ".txt",
        ".yaml",
        ".safetensors",
    }


def test_logged_models_have_the_hash_of_their_weights(logged):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{logged.project / 'mlflow.db'}")
    stored = logged_models(logged.project)
    [run] = client.search_runs([stored[0].experiment_id])
    assert run.data.tags["model.sha256"] == sha256_file(logged.project / WEIGHTS)
    assert run.info.status == "FINISHED"
    assert {model.name for model in stored} == {"generator", "service"}
    assert {output.model_id for output in run.outputs.model_outputs} == {model.model_id for model in stored}
    assert {(model.source_run_id, model.status) for model in stored} == {(run.info.run_id, "READY")}


# Image files


def encoded(kind, dtype=np.uint8, channels=3):
    """An image file as base64."""
    pixels = from_float(noisy_image(37, 51, channels), np.dtype(dtype))
    buffer = io.BytesIO()
    if kind == "TIFF":
        tifffile.imwrite(buffer, pixels, photometric="rgb" if channels == 3 else "minisblack")
    elif kind == "PNG":
        buffer.write(encode_png(pixels))
    else:
        Pillow.fromarray(pixels).save(buffer, kind, lossless=True, quality=95)
    return base64.b64encode(buffer.getvalue()).decode()


def decoded(text):
    return decode_picture(base64.b64decode(text), Path("of the test"))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("PNG", np.uint8), ("PNG", np.uint16), ("JPEG", np.uint8), ("TIFF", np.uint16), ("WebP", np.uint8)],
)
def test_service_does_what_degrain_denoise_does(service, logged, kind, dtype, tmp_path):
    text = encoded(kind, dtype)
    (tmp_path / "noisy").write_bytes(base64.b64decode(text))
    denoise_paths([tmp_path / "noisy"], tmp_path / "restored.png", logged.restore, sigma=0.1, strength=0.5)
    [restored] = service.predict([text], params={"sigma_255": 25.5, "strength": 0.5})
    assert base64.b64decode(restored) == (tmp_path / "restored.png").read_bytes()
    stored, given = decoded(restored).stored, decoded(text).stored
    assert (stored.format, stored.pixels.dtype) == (kind, dtype)
    assert np.abs(stored.pixels.astype(float) - given.pixels).mean() > 1


def test_service_takes_several_images_of_any_size_and_kind(service):
    texts = [encoded("PNG"), encoded("TIFF", np.uint16, 1), encoded("JPEG")]
    together = service.predict(texts, params={"sigma_255": 25})
    assert together == [service.predict([text], params={"sigma_255": 25})[0] for text in texts]


def test_strength_of_nothing_and_a_clean_image_change_nothing(service):
    for params in ({"strength": 0.0}, {"sigma_255": 0.0}):
        [restored] = service.predict([encoded("PNG")], params=params)
        assert np.array_equal(decoded(restored).pixels, decoded(encoded("PNG")).pixels)


@pytest.mark.parametrize("dial", [0.0, 0.25, 1.0])
def test_dial_goes_from_pretrained_to_adversarial_weights(model, logged, dial):
    image = noisy_image(37, 51)
    restored = model.predict(image[None], params={"sigma_255": 25.5, "dial": dial})[0]
    network, channels = load_between(logged.project / PRETRAINED, logged.project / WEIGHTS, dial)
    assert np.array_equal(restored, Restorer(network, channels, logged.restore.engine)(image, 0.1))


def test_both_interfaces_restore_alike(model, service):
    params = {"sigma_255": 25.5, "strength": 0.7, "dial": 0.5}
    text = encoded("PNG", np.uint16)
    restored = model.predict(decoded(text).pixels[None], params=params)[0]
    assert np.array_equal(
        decoded(service.predict([text], params=params)[0]).stored.pixels,
        from_float(restored, np.dtype(np.uint16)),
    )


@pytest.mark.parametrize(
    ("text", "params", "complaint"),
    [
        ("?", {}, "image 0: no base64"),
        (base64.b64encode(b"GIF89a").decode(), {}, "image 0: not a PNG, JPEG, WebP or TIFF image"),
        (encoded("PNG")[:400], {}, "image 0: truncated PNG"),
        (encoded("PNG"), {"strength": 1.5}, "strength = 1.5; expected a number from 0 to 1"),
        (encoded("PNG"), {"dial": -0.5}, "dial = -0.5; expected a number from 0 to 1"),
        (encoded("PNG"), {"sigma_255": 256.0}, "sigma_255 = 256.0; expected a number below 0"),
    ],
)
def test_service_says_what_is_wrong(service, text, params, complaint):
    with pytest.raises(MlflowException, match=complaint) as caught:
        service.predict([text], params=params)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_a_model_of_one_set_of_weights_has_no_dial(logged, default_values):
    context = SimpleNamespace(artifacts={"weights": str(logged.project / WEIGHTS)})
    model = GeneratorModel()
    model.load_context(context)
    image = noisy_image(9, 9)[None]
    assert np.array_equal(model.predict(context, image, {"dial": 1.0}), model.predict(context, image))
    with pytest.raises(MlflowException, match="one set of weights"):
        model.predict(context, image, {"dial": 0.5})


ELSEWHERE = """
import sys
model, service, *missing = sys.argv[1:]
sys.modules.update(dict.fromkeys(missing))
import base64, pathlib
import mlflow, numpy
[file] = mlflow.pyfunc.load_model(service).predict([pathlib.Path("noisy.txt").read_text()])
pathlib.Path("restored.tif").write_bytes(base64.b64decode(file))
restore = mlflow.pyfunc.load_model(model).predict
noisy = numpy.load("noisy.npy")
restore(noisy)
numpy.save("restored.npy", restore(noisy, params={"sigma_255": 25.0}))
import degrain; print(degrain.__file__)
"""


def test_logged_model_works_with_its_own_code_and_requirements_alone(logged, tmp_path):
    """As on another machine, where neither degrain nor anything else is installed."""
    model = logged.generator
    needed = with_what_they_need((model / "requirements.txt").read_text().split())
    missing = [
        module
        for module, owners in packages_distributions().items()
        if not needed & {canonicalize_name(owner) for owner in owners} and module != "degrain"
    ]
    assert {"dvc", "pooch", "skimage"} <= set(missing)
    (tmp_path / "noisy.txt").write_text(encoded("TIFF", np.uint16))
    np.save(tmp_path / "noisy.npy", noisy_image(37, 51)[None])
    variables = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = python(
        ELSEWHERE, tmp_path, str(model), str(logged.service), *missing, PYTHONPATH="", **variables
    )
    package, complaint = process.communicate()
    assert process.returncode == 0, complaint
    assert Path(package.strip()).is_relative_to(logged.service / "code")  # the first that was loaded
    restored = np.load(tmp_path / "restored.npy")[0]
    assert np.allclose(restored, logged.restore(noisy_image(37, 51), 25 / 255), atol=0.02)
    assert read_picture(tmp_path / "restored.tif").stored.pixels.dtype == np.uint16


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

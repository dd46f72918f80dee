"""What `python -m degrain.release` makes of a pipeline's generators."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from degrain import release as release_module
from degrain import restorers
from degrain.build import released
from degrain.build.generator import build_generator, load_generator, save_generator
from degrain.errors import DegrainError
from degrain.files import sha256_file
from degrain.release import release, release_realistic, release_sampling
from degrain.tracking import training_run
from support import merged
from training_support import trained_like


@pytest.fixture
def project(tmp_path, monkeypatch, make_params):
    """A folder with the outputs of a small pipeline, and an empty place for the released weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    weights = tmp_path / "weights"
    monkeypatch.setattr(released, "WEIGHTS", weights)
    monkeypatch.setattr(restorers, "WEIGHTS", weights)
    monkeypatch.setattr(release_module, "LEGS", weights / "legs.json")
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/manifest.csv").write_text("name\n")
    params = make_params({"model": {"unet": {"widths": [8, 16], "blocks": [1, 2]}}})
    for scale, stage in ((1.0, "pretrain"), (0.5, "train")):
        network = trained_like(build_generator(params.model, params.data.channels))
        with torch.no_grad():
            for weight in network.parameters():
                weight.mul_(scale)
        save_generator(tmp_path / f"models/{stage}/generator.safetensors", network, params.model, 3)
    return params, weights


def with_start(params, start):
    return params.model_copy(update={"pretrain": params.pretrain.model_copy(update={"start": start})})


def test_released_weights_are_those_that_were_trained_to_half_precision(project, tmp_path) -> None:
    params, weights = project
    leg = release(params)
    for end, stage in (("faithful", "pretrain"), ("realistic", "train")):
        path = weights / f"{end}-colour.safetensors"
        ours, _ = load_generator(path)
        trained, _ = load_generator(tmp_path / f"models/{stage}/generator.safetensors")
        for mine, theirs in zip(ours.parameters(), trained.parameters(), strict=True):
            assert mine.dtype == torch.float32
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-6)
        assert path.stat().st_size < 0.6 * (tmp_path / f"models/{stage}/generator.safetensors").stat().st_size
        assert leg[end]["sha256"] == sha256_file(path)


def test_a_leg_from_nothing_begins_the_list_and_one_from_released_weights_goes_on(project) -> None:
    params, weights = project
    release(params)
    first = release(with_start(params, "none"))
    second = release(with_start(params, "auto"))
    assert first["started_from"] is None
    assert second["started_from"] == first["faithful"]["sha256"]
    assert json.loads((weights / "legs.json").read_text())["colour"] == json.loads(
        json.dumps([first, second])
    )


def test_released_weights_are_those_of_the_same_network_only(project) -> None:
    params, weights = project
    assert released.released_for(params.model, 3) is None
    release(params)
    assert released.released_for(params.model, 3) == weights / "faithful-colour.safetensors"
    assert released.released_for(params.model, 1) is None
    other = params.model.dncnn.model_copy(update={"depth": 5})  # not in use
    assert released.released_for(params.model.model_copy(update={"dncnn": other}), 3)
    wider = params.model.unet.model_copy(update={"widths": (8, 24)})
    assert released.released_for(params.model.model_copy(update={"unet": wider}), 3) is None


def test_a_leg_of_the_pixel_loss_alone_leaves_the_realistic_weights(project) -> None:
    params, weights = project
    whole = release(params)
    leg = release(with_start(params, "auto"), ends=["faithful"])
    assert "realistic" not in leg
    assert whole["realistic"]["sha256"] == sha256_file(weights / "realistic-colour.safetensors")
    assert leg["started_from"] == whole["faithful"]["sha256"]


def test_a_leg_says_what_trained_it_as_far_as_that_is_known(project, tmp_path) -> None:
    params, _ = project
    assert release(params)["faithful"]["engine"] is None
    trained = tmp_path / "models/pretrain/generator.safetensors"
    with training_run("pretrain", params, tmp_path / "checkpoint", data=[]) as log:
        log.set_tags({"engine": "cuda (a GPU), bfloat16", "threads": "3"})
        log.set_tags({"model.sha256": sha256_file(trained)})
    leg = release(params)["faithful"]
    assert (leg["engine"], leg["threads"]) == ("cuda (a GPU), bfloat16", 3)
    assert leg["minutes"] >= 0


def test_a_realistic_end_of_its_own_takes_the_place_of_the_last(project, tmp_path) -> None:
    params, weights = project
    first = release(params)
    shutil.copy(weights / "faithful-colour.safetensors", tmp_path / "models/pretrain/generator.safetensors")
    shutil.copy(tmp_path / "models/pretrain/generator.safetensors", tmp_path / "models/train")
    longer = params.model_copy(update={"train": params.train.model_copy(update={"steps": 7})})
    leg = release_realistic(longer)
    assert leg["faithful"] == json.loads(json.dumps(first["faithful"]))
    assert leg["realistic"]["settings"]["steps"] == 7
    assert leg["realistic"]["sha256"] == sha256_file(weights / "realistic-colour.safetensors")
    assert leg["realistic"]["sha256"] != first["realistic"]["sha256"]
    assert json.loads((weights / "legs.json").read_text())["colour"] == [json.loads(json.dumps(leg))]


def test_a_realistic_end_from_elsewhere_is_refused(project, tmp_path) -> None:
    params, weights = project
    with pytest.raises(DegrainError, match="expected the weights of faithful-colour"):
        release_realistic(params)
    release(params)
    before = (weights / "legs.json").read_bytes(), (weights / "realistic-colour.safetensors").read_bytes()
    (tmp_path / "data/raw/manifest.csv").write_text("other\n")
    with pytest.raises(DegrainError, match=r"data = .*; expected .*, which the faithful"):
        release_realistic(params)
    shutil.copy(tmp_path / "models/train/generator.safetensors", tmp_path / "models/pretrain")
    with pytest.raises(DegrainError, match="for both are ends of one dial"):
        release_realistic(params)
    assert before == (
        (weights / "legs.json").read_bytes(),
        (weights / "realistic-colour.safetensors").read_bytes(),
    )


def stochastic(params, tmp_path):
    """The same pipeline, whose stage train has made the generator take z."""
    path = tmp_path / "models/train/generator.safetensors"
    network, channels = load_generator(path, stochastic=True)
    save_generator(path, network, params.model, channels)
    return with_start(params, "auto")


def test_a_generator_that_draws_samples_stands_in_the_leg_of_the_weights_it_went_on_from(project, tmp_path):
    params, weights = project
    first = release(params)
    leg = release_sampling(stochastic(params, tmp_path))
    path = weights / "sampling-colour.safetensors"
    ours, channels = load_generator(path)
    assert (ours.stochastic, channels) == (True, 3)
    assert leg["sampling"]["sha256"] == sha256_file(path)
    assert leg["sampling"]["settings"] == json.loads(params.train.model_dump_json())
    assert leg["sampling"]["pretrain"]["settings"] == json.loads(
        with_start(params, "auto").pretrain.model_dump_json()
    )
    assert {key: value for key, value in leg.items() if key != "sampling"} == json.loads(json.dumps(first))
    assert json.loads((weights / "legs.json").read_text())["colour"] == [json.loads(json.dumps(leg))]


@pytest.mark.parametrize("how", [release, release_realistic, release_sampling])
@pytest.mark.parametrize("changes", [{"data": {"channels": 1}}, {"model": {"unet": {"widths": [16, 16]}}}])
def test_params_of_another_network_release_nothing(how, changes, project, make_params):
    """As when another preset was written, and nothing trained since."""
    _, weights = project
    model = {"unet": {"widths": [8, 16], "blocks": [1, 2]}}
    others = make_params(merged({"model": model}, changes))
    with pytest.raises(
        DegrainError, match=r"generator\.safetensors: .* 3 channels; expected what params\.yaml"
    ):
        how(others)
    assert not weights.exists()


def test_a_generator_that_draws_no_samples_or_of_another_start_is_refused(project, tmp_path):
    params, weights = project
    first = stochastic(params, tmp_path)
    with pytest.raises(
        DegrainError, match=r"takes noise z, so it is no end of the dial; expected --sampling"
    ):
        release(first)
    assert not weights.exists()  # nor is the faithful end written
    shutil.copy(tmp_path / "models/pretrain/generator.safetensors", tmp_path / "models/train")
    with pytest.raises(DegrainError, match=r"models/train/generator\.safetensors: takes no noise z"):
        release_sampling(with_start(params, "auto"))
    auto = stochastic(params, tmp_path)
    with pytest.raises(DegrainError, match=r"expected auto and the network of faithful-colour"):
        release_sampling(auto)  # nothing is released that it could have gone on from
    release(params, ends=["faithful"])
    before = (weights / "legs.json").read_bytes()
    with pytest.raises(DegrainError, match=r"pretrain\.start = none"):
        release_sampling(with_start(params, "none"))
    assert (weights / "legs.json").read_bytes() == before
    assert not (weights / "sampling-colour.safetensors").exists()

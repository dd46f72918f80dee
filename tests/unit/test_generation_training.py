"""Trainings without an input image: they learn, resume to the same bytes, and use what they may use alone."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from degrain.compute import start_engine
from degrain.errors import DegrainError
from degrain.generation.classifier import accuracy, recognise, start_classifier
from degrain.generation.dcgan import start_dcgan
from degrain.generation.labelled import Labelled, read_real
from degrain.generation.loop import advance, train
from degrain.generation.making import calibrated, make_images, noise_vectors
from degrain.generation.samples import Watch
from degrain.generation.semi_supervised import ALONE, METHODS, WITH, Few, draw_few, start_semi_supervised
from degrain.generation.weights import load_network, save_network
from degrain.metrics.frechet import Moments, gaussian_frechet
from degrain.models.image_classifier import ImageClassifier
from degrain.models.image_generator import ImageGenerator
from degrain.training.checkpoint import Checkpoint
from degrain.training.descend import Diverged
from degrain.training_params import AdversarialLoss
from generation_support import tiny_params, write_set
from training_support import CPU, STABILISED, Recorder, copied, same


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return read_real(write_set(tmp_path_factory.mktemp("set"), train=600), 60)


@pytest.fixture(autouse=True)
def _engine():
    start_engine(tiny_params().compute)


def nothing(state):
    del state
    return {}


def begin(kind, real, params, look=nothing):
    """State and course of one of the trainings."""
    if kind == "classifier":
        return start_classifier(real.seen, real.unseen, params.classifier, CPU, seed=0)
    if kind == "dcgan":
        return start_dcgan(real.seen, params.dcgan, CPU, seed=0, look=look)
    few = draw_few(real.seen, params.semi_supervised, draw=1, seed=0)
    return start_semi_supervised(kind, few, params.semi_supervised, CPU, seed=0, look=look)


def run(started, folder, log=None):
    state, course = started
    train(state, course, checkpoint=Checkpoint("t", "k", root=folder), log=log or Recorder())
    return state


class Stopped(Exception):
    pass


class Stops(Checkpoint):
    """Ends the training after a step that it has saved."""

    def save(self, state):
        super().save(state)
        if state.get("step") == 3:
            raise Stopped


@pytest.mark.parametrize("kind", ["classifier", "dcgan", *METHODS])
def test_training_that_was_killed_resumes_to_the_same_state(tmp_path, real, kind, monkeypatch):
    params = tiny_params({"dcgan": {"stabilisers": STABILISED["stabilisers"]}})
    whole = run(begin(kind, real, params), tmp_path / "whole")
    monkeypatch.setattr("degrain.generation.loop.CHECKPOINT_SECONDS", 0.0)
    state, course = begin(kind, real, params)
    with pytest.raises(Stopped):
        train(state, course, checkpoint=Stops("t", "k", root=tmp_path / "part"), log=Recorder())
    torch.manual_seed(99)  # what happened before the kill, and chance, must not matter
    log = Recorder()
    resumed = run(begin(kind, real, params), tmp_path / "part", log)
    assert same(resumed.state_dict(), whole.state_dict())
    assert [step for step, _ in log.rows] == [4]


def test_pictures_of_a_training_that_was_killed_are_all_there(tmp_path, real, monkeypatch):
    monkeypatch.setattr("degrain.generation.loop.CHECKPOINT_SECONDS", 0.0)
    shown = []

    def watch(kind, folder):
        checkpoint = kind("t", "k", root=folder)
        return checkpoint, Watch(checkpoint, 10, seed=0, show=lambda *told: shown.append(told[:2]))

    def pictures(folder, kinds):
        for kind in kinds:
            checkpoint, look = watch(kind, folder)
            state, course = begin("dcgan", real, tiny_params(), look)
            try:
                train(state, course, checkpoint=checkpoint, log=Recorder())
            except Stopped:
                continue
        return look.made(state)

    whole = pictures(tmp_path / "whole", [Checkpoint])
    assert same(pictures(tmp_path / "part", [Stops, Checkpoint]), whole)
    assert list(whole) == [2, 4]
    assert shown == [("samples", 2), ("samples", 4)] * 2
    assert not torch.equal(whole[2], whole[4])


def test_classifier_learns(tmp_path, real):
    settings = {"classifier": {"steps": 120, "lr": 0.003, "look_every": 60, "batch_size": 32}}
    state = run(begin("classifier", real, tiny_params(settings)), tmp_path)
    assert [row["step"] for row in state.curve] == [60, 120]
    assert state.curve[-1]["accuracy"] == accuracy(state.ema.network, real.unseen, CPU) > 0.9
    assert accuracy(state.ema.network, real.test, CPU) > 0.8
    features, found = recognise(state.ema.network, real.test.images, CPU)
    assert features.shape == (60, 8)
    assert int((found == real.test.labels).sum()) == round(60 * accuracy(state.ema.network, real.test, CPU))


def test_generator_comes_nearer_to_the_images(tmp_path, real):
    """In the distance of Gaussians fitted to the pixels of halves."""
    settings = {"steps": 150, "lr": 0.003, "critic_lr": 0.003, "width": 4, "critic_width": 4}
    params = tiny_params({"dcgan": settings | {"batch_size": 32, "look_every": 150}})

    def distance(network):
        network = calibrated(network, CPU, seed=0)
        made = make_images(network, noise_vectors(300, network, 0, "test"), CPU)
        sides = []
        for images in (made, real.seen.images):
            moments = Moments()
            moments.add(torch.nn.functional.avg_pool2d(images.float() / 255, 4).flatten(1).numpy())
            sides.append(moments.gaussian())
        return gaussian_frechet(*sides)

    state, course = begin("dcgan", real, params)
    before = distance(state.ema.network)
    run((state, course), tmp_path)
    assert distance(state.ema.network) < 0.25 * before


@pytest.mark.parametrize("loss", get_args(AdversarialLoss))
def test_every_adversarial_loss_moves_both_players(real, loss):
    state, course = begin("dcgan", real, tiny_params({"dcgan": {"adversarial": {"loss": loss}}}))
    before = {name: copied(player.network) for name, player in state.players().items()}
    advance(state, course)
    for name, player in state.players().items():
        assert not same(copied(player.network), before[name])
    assert {"critic", "generator", "variety", "told_apart"} <= state.sums.keys()
    assert ("gradient_penalty" in state.sums) == (loss == "wasserstein")


def test_every_stabiliser_is_at_work(real):
    changes = {"dcgan": {"stabilisers": STABILISED["stabilisers"]}}
    state, course = begin("dcgan", real, tiny_params(changes))
    for _ in range(2):
        advance(state, course)
    terms = {"r1", "r2", "gradient_penalty", "lecam", "discriminator_history", "generator_history"}
    assert terms | {"augmentation"} <= state.sums.keys()
    assert state.memory.real_logit != 0


def test_loss_that_is_not_finite_stops_the_training(tmp_path, real):
    params = tiny_params({"dcgan": {"lr": 1e30, "critic_lr": 1e30, "steps": 40}})
    with pytest.raises(Diverged, match=r"step .* expected a finite number"):
        run(begin("dcgan", real, params), tmp_path)


def test_both_methods_start_alike_and_see_the_same_labelled_images(real):
    (alone, one), (both, other) = (begin(method, real, tiny_params()) for method in METHODS)
    assert same(copied(alone.generator.network), copied(both.discriminator.network))
    for step in (0, 3):
        assert same(one.step.labelled(step), other.step.labelled(step))
        alone.step = both.step = step
        images, _ = one.step.labelled(step)
        shown = [
            course.step.see.noisy(state, "labelled", images)
            for state, course in ((alone, one), (both, other))
        ]
        assert torch.equal(*shown)
        assert not torch.equal(shown[0], images)


@pytest.mark.parametrize(("method", "uses"), [(ALONE, False), (WITH, True)])
def test_images_without_labels_are_used_and_their_labels_are_not(tmp_path, real, method, uses):
    settings = tiny_params().semi_supervised
    few = draw_few(real.seen, settings, draw=1, seed=0)
    shuffled = real.seen.labels.flip(0)
    assert not torch.equal(shuffled, real.seen.labels)
    others = {
        "as they are": few.unlabelled,
        "other labels": Labelled(real.seen.images, shuffled),
        "other images": Labelled(255 - real.seen.images, real.seen.labels),
    }
    ends = {}
    for name, unlabelled in others.items():
        started = start_semi_supervised(
            method, Few(1, few.labelled, unlabelled), settings, CPU, seed=0, look=nothing
        )
        ends[name] = copied(run(started, tmp_path / name).ema.network)
    assert same(ends["as they are"], ends["other labels"])
    assert same(ends["as they are"], ends["other images"]) != uses


def test_semi_supervised_training_tells_generated_from_real_and_knows_the_labels(tmp_path, real):
    settings = {"steps": 100, "lr": 0.002, "generator_lr": 0.002, "batch_size": 16, "look_every": 50}
    params = tiny_params({"semi_supervised": settings | {"labels_per_class": 10}})
    state = run(begin(WITH, real, params), tmp_path)
    first, last = state.curve
    assert last["labelled"] < 0.7 * first["labelled"]
    assert last["unlabelled"] < first["unlabelled"]
    assert accuracy(state.ema.network, real.test, CPU) > 0.6


def test_calibrated_generator_makes_the_same_of_a_vector_as_in_training(real):
    """Its statistics are those of large batches, so one large batch in training gives nearly the same."""
    state, course = begin("dcgan", real, tiny_params())
    for _ in range(3):
        advance(state, course)
    before = copied(state.ema.network)
    network = calibrated(state.ema.network, CPU, seed=0)
    assert same(copied(state.ema.network), before)
    z = noise_vectors(2000, network, 1)
    with torch.no_grad():
        alone, together = network(z), calibrated(state.ema.network, CPU, seed=0).train()(z)
    assert (alone - together).abs().max() < 0.02
    assert (state.ema.network(z) - together).abs().max() > 0.02


def test_generated_images_are_of_the_real_range_and_the_same_in_any_company():
    torch.manual_seed(0)
    network = ImageGenerator(5, 1, side_px=28, width=2).eval()
    z = 10 * noise_vectors(700, network, 0)
    with torch.no_grad():
        images = network(z)
    assert images.shape == (700, 1, 28, 28)
    assert 0 <= images.min() < images.max() <= 1
    assert torch.equal(make_images(network, z, CPU)[650:], make_images(network, z[650:], CPU))


@pytest.mark.parametrize("side", [8, 28, 29, 32])
def test_classifier_takes_images_of_any_size(side):
    network = ImageClassifier(1, 7, side_px=side, width=2, features=5)
    seen = network(torch.zeros(3, 1, side, side))
    assert (seen.logits.shape, seen.features.shape) == ((3, 7), (3, 5))
    assert torch.allclose(network.score(seen.features), seen.logits)


def test_classifier_refuses_images_that_are_too_small():
    with pytest.raises(ValueError, match="side_px = 7; this classifier takes images of at least 8 pixels"):
        ImageClassifier(1, 7, side_px=7, width=2, features=5)


def test_networks_come_back_from_their_files(tmp_path):
    settings = tiny_params().dcgan
    for network in (
        ImageGenerator(5, 1, side_px=16, width=2),
        ImageClassifier(1, 7, side_px=16, width=2, features=5),
    ):
        path = tmp_path / "network.safetensors"
        save_network(path, network, settings, set="bars")
        first = path.read_bytes()
        found = load_network(path, CPU)
        assert type(found) is type(network)
        assert same(copied(found), copied(network))
        assert not found.training
        save_network(path, network, settings, set="bars")
        assert path.read_bytes() == first
    path.write_bytes(b"no")
    with pytest.raises(DegrainError, match="expected a network of this pipeline"):
        load_network(path, CPU)
    with pytest.raises(DegrainError, match="no such file; expected a network, which `dvc repro`"):
        load_network(tmp_path / "nowhere", CPU)

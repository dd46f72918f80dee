"""What a short training must achieve, on a photograph and a network small enough for a test."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from skimage.data import coffee

from degrain.build.generator import build_generator
from degrain.data.patches import Batch
from degrain.metrics import psnr, to_8_bit
from degrain.params import Params, parse_params
from degrain.restore import Restorer
from degrain.training.loop import Plan, advance
from degrain.training.state import TrainState
from support import SMALL, merged
from training_support import CPU, adversarial_training, parameters, pixel_training, same, small_dataset

SIGMA = 25 / 255
STEPS = {"unet": 150, "dncnn": 200}
SHORT = {
    "pretrain": {"batch_size": 4, "lr": 3e-3, "warmup_steps": 10, "ema_half_life_images": 100},
    "train": {"steps": 30, "batch_size": 4, "warmup_steps": 3, "ema_half_life_images": 50},
    "noise": {"gaussian": {"train": [25, 25]}},
}


@dataclass
class Trained:
    """A training that has run."""

    params: Params
    state: TrainState
    plan: Plan

    @property
    def restore(self):
        return Restorer(self.state.ema.network, 3, CPU)


def quality(restored, clean):
    return psnr(to_8_bit(restored), clean, data_range=1.0)


def run(state, plan):
    for batch in plan.data.batches(state.step, plan.settings.steps):
        advance(state, batch, plan)


@pytest.fixture(scope="module")
def picture():
    return (coffee() / 255).astype(np.float32)


@pytest.fixture(scope="module", params=STEPS)
def trained(request, default_values, picture, tmp_path_factory):
    """A generator after some seconds of training on one part of the picture."""
    torch.set_num_threads(1)
    changes = merged(SHORT, {"pretrain": {"steps": STEPS[request.param]}})
    values = merged(merged(default_values, SMALL), changes | {"model": {"generator": request.param}})
    params = parse_params(values)
    folder = tmp_path_factory.mktemp("patches")
    data = small_dataset(params, params.pretrain, picture[120:312, 200:392], folder)
    state, plan = pixel_training(params, data)
    run(state, plan)
    return Trained(params, state, plan)


@pytest.fixture(scope="module")
def pair(picture):
    """(noisy, clean) of another part of the picture."""
    clean = picture[20:116, 400:528]
    noise = np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    return (clean + noise).astype(np.float32), clean


def test_a_short_training_beats_its_noisy_input(trained, pair):
    noisy, clean = pair
    assert quality(trained.restore(noisy, SIGMA), clean) > quality(noisy, clean) + 5


def test_a_short_training_beats_it_with_the_level_estimated(trained, pair):
    noisy, clean = pair
    assert quality(trained.restore(noisy), clean) > quality(noisy, clean) + 5


@pytest.mark.parametrize("value", [0.2, 0.5, 0.8])
def test_a_constant_image_stays_constant(trained, value):
    """In the middle: at the edges, so small a network has not learned what zeros around it mean."""
    flat = np.full((64, 72, 3), value, np.float32)
    flat[0, 0, 0] += 1e-3  # otherwise it would be grey
    restored = trained.restore(flat, SIGMA)
    np.testing.assert_allclose(restored, flat, atol=0.2)
    np.testing.assert_allclose(restored[12:-12, 12:-12], flat[12:-12, 12:-12], atol=0.08)
    assert restored[12:-12, 12:-12].std(axis=(0, 1)).max() < SIGMA / 4


def test_a_noisy_constant_image_becomes_smooth(trained):
    noise = np.random.default_rng(1).normal(0, SIGMA, (64, 72, 3))
    restored = trained.restore((0.5 + noise).astype(np.float32), SIGMA)
    assert restored[12:-12, 12:-12].std(axis=(0, 1)).max() < SIGMA / 2


@pytest.mark.parametrize("generator", STEPS)
def test_one_pair_can_be_learned_by_heart(make_params, picture, tmp_path, generator):
    """Its noise, too: far beyond what denoising could give."""
    settings = {"steps": 150, "lr": 5e-3, "warmup_steps": 5, "ema_half_life_images": 50}
    params = make_params({"model": {"generator": generator}, "pretrain": settings})
    data = small_dataset(params, params.pretrain, picture[120:312, 200:392], tmp_path)
    state, plan = pixel_training(params, data)
    clean = data.batch(0).clean[:1]
    noise = SIGMA * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    batch = Batch(clean, clean + noise, torch.tensor([SIGMA]))

    def error_db(network):
        with torch.no_grad():
            return -10 * (network(batch.noisy, batch.sigma) - clean).square().mean().log10().item()

    before = error_db(state.ema.network)
    for _ in range(150):
        advance(state, batch, plan)
    assert error_db(state.generator.network) > before + 8
    assert error_db(state.ema.network) > before + 8


def test_an_adversarial_fine_tune_stays_within_1_db(trained, pair):
    noisy, clean = pair
    before = quality(trained.restore(noisy, SIGMA), clean)
    generator = copy.deepcopy(trained.state.ema.network).requires_grad_().train()
    state, plan = adversarial_training(trained.params, trained.plan.data, generator=generator)
    start = {name: parameters(player.network) for name, player in state.players().items()}
    run(state, plan)
    for network in (state.ema.network, state.generator.network):
        assert quality(Restorer(copy.deepcopy(network), 3, CPU)(noisy, SIGMA), clean) > before - 1
    for name, player in state.players().items():
        assert not same(parameters(player.network), start[name])


@pytest.mark.parametrize("kind", ["unet", "patchgan"])
def test_a_discriminator_learns_to_tell_noisy_from_clean(make_params, picture, tmp_path, kind):
    """A generator at its start returns the noisy image, and here it stays there."""
    settings = {"steps": 40, "batch_size": 4, "lr": 1e-9, "discriminator_lr": 2e-3}
    critic = {"kind": kind, "width": 8}
    params = make_params({**SHORT, "train": settings | {"discriminator": critic}})
    data = small_dataset(params, params.train, picture[120:312, 200:392], tmp_path)
    untrained = build_generator(params.model, 3)
    state, plan = adversarial_training(params, data, generator=untrained)
    losses = [advance(state, data.batch(step), plan)["discriminator"] for step in range(40)]
    assert losses[0] == pytest.approx(2 * np.log(2), abs=0.02)  # it knows nothing
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.05

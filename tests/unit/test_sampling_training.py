"""Training generators whose samples are all that a noisy image may have been."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from degrain.build.generator import build_generator
from degrain.data.noisy import NoisySet, Pair
from degrain.data.patches import Batch
from degrain.data.synthesis import make_noisy_sets
from degrain.files import write_image
from degrain.metrics import psnr, to_8_bit
from degrain.training import loop, setup
from degrain.training.checkpoint import Checkpoint
from degrain.training.diversity import (
    Collapsed,
    adversarial_validator,
    check_diversity,
    diversity,
    measure_twice,
)
from degrain.training.loop import fit
from degrain.training.pixel import PixelStep, level_weights
from degrain.training.sampling import energy_score, mean_penalty, opponent, spread_penalty
from degrain.training.setup import start_state
from training_support import (
    CPU,
    Recorder,
    adversarial_training,
    parameters,
    same,
    small_dataset,
    trained_like,
)

STOCHASTIC = {"data": {"channels": 1}, "model": {"stochastic": True}}


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def batch_of(count=2, seed=0):
    clean = normal(count, 1, 32, 32, seed=seed) / 10 + 0.5
    sigma = torch.linspace(0.05, 0.2, count)
    return Batch(clean, clean + sigma.view(-1, 1, 1, 1) * normal(count, 1, 32, 32, seed=seed + 1), sigma)


# --- the penalty ---


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("deviation", [0.0, 0.5])
def test_the_penalty_is_the_squared_error_of_the_mean_over_all_z_whatever_the_variance(count, deviation):
    clean, bias = torch.zeros(4, 1, 64, 64), 0.3
    penalty = mean_penalty(bias + deviation * normal(count, 4, 1, 64, 64), clean)
    assert penalty.shape == (4,)
    assert penalty.mean() == pytest.approx(bias**2, abs=0.02)


def test_the_penalty_of_samples_that_are_alike_is_their_squared_error():
    restored, clean = normal(3, 1, 8, 8), normal(3, 1, 8, 8, seed=1)
    penalty = mean_penalty(restored.expand(5, -1, -1, -1, -1), clean)
    torch.testing.assert_close(penalty, (restored - clean).square().mean((1, 2, 3)))


def test_the_penalty_does_not_pull_at_the_variance():
    noise = normal(2, 8, 1, 64, 64)
    width = torch.tensor(0.5, requires_grad=True)
    mean_penalty(width * noise, torch.zeros(8, 1, 64, 64)).mean().backward()
    assert abs(width.grad) < 0.02  # that of the mean of two alone would be 0.5


@pytest.mark.parametrize("count", [2, 5])
def test_the_energy_score_is_least_for_pixels_spread_as_the_truth_is(count):
    clean = 0.2 * normal(1, 1, 256, 256)
    noise = normal(count, 1, 1, 256, 256, seed=1)
    scores = [float(energy_score(width * noise, clean)) for width in (0.0, 0.1, 0.2, 0.4)]
    assert min(scores) == scores[2]
    assert scores[0] == pytest.approx(0.2 * (2 / math.pi) ** 0.5, rel=0.01)  # of a normal distribution
    assert scores[2] == pytest.approx(0.2 / math.pi**0.5, rel=0.01)


def test_the_energy_score_parts_samples_that_are_alike():
    samples = (0.001 * normal(2, 1, 1, 64, 64)).requires_grad_()
    energy_score(samples, 0.2 * normal(1, 1, 64, 64, seed=1)).mean().backward()
    assert ((samples[0] - samples[1]) * (samples.grad[0] - samples.grad[1])).sum() < 0
    equal = torch.zeros(2, 1, 1, 16, 16, requires_grad=True)  # as they are at the start
    energy_score(equal, torch.zeros(1, 1, 16, 16)).mean().backward()
    assert torch.isfinite(equal.grad).all()


def test_the_opponent_channels_are_those_of_a_turned_space():
    images = normal(2, 3, 3, 8, 8)
    turned = opponent(images)
    torch.testing.assert_close(turned.square().sum(2), images.square().sum(2))
    torch.testing.assert_close(turned[:, :, 0], images.mean(2) * 3**0.5)
    grey = normal(2, 1, 8, 8).expand(2, 3, 8, 8)
    assert opponent(grey)[:, 1:].abs().max() < 1e-6
    torch.testing.assert_close(opponent(images[:, :, :1]), images[:, :, :1])


def test_samples_that_are_wrong_in_brightness_alone_are_best_if_they_differ_in_it_alone():
    """With channels one by one, coloured grain of the same variance would be as good."""
    clean, sigma = 0.2 * normal(8, 1, 64, 64).expand(8, 3, 64, 64), torch.full((8,), 0.1)
    batch = Batch(clean, clean, sigma)
    alike = 0.2 * normal(2, 8, 1, 64, 64, seed=1).expand(2, 8, 3, 64, 64)
    coloured = 0.2 * normal(2, 8, 3, 64, 64, seed=2)
    assert energy_score(alike, clean).mean() < 0.9 * energy_score(coloured, clean).mean()
    brightness = [float(spread_penalty(samples, batch)) for samples in (alike, coloured)]
    assert brightness[0] < 0.01
    assert brightness[1] > 0.5  # too little in brightness, and any at all in colour


@pytest.mark.parametrize("error", [0.05, 0.2])
@pytest.mark.parametrize("count", [2, 5])
def test_the_spread_penalty_is_least_for_a_variance_over_z_like_the_error_of_the_mean(count, error):
    batch = batch_of(8)
    off = error * normal(*batch.clean.shape, seed=3)
    noise = normal(count, *batch.clean.shape, seed=4)

    def penalty(width):
        return spread_penalty(batch.clean + off + width * noise, batch)

    assert float(penalty(error)) < 0.01
    assert float(penalty(0.5 * error)) == pytest.approx(0.36, abs=0.05)  # (3/4)^2 / (5/4)^2
    assert float(penalty(2 * error)) == pytest.approx(0.36, abs=0.05)


def test_the_spread_penalty_pulls_at_the_variance_alone():
    batch = batch_of(8)
    noise = normal(2, *batch.clean.shape, seed=4)
    width, shift = (torch.tensor(value, requires_grad=True) for value in (0.05, 0.1))
    spread_penalty(batch.clean + shift + width * noise, batch).backward()
    assert width.grad < -1.0
    assert abs(shift.grad) < 1e-4
    equal = batch.clean.expand(2, -1, -1, -1, -1).clone().requires_grad_()  # as at the start, and right
    spread_penalty(equal, batch).backward()
    assert torch.isfinite(equal.grad).all()


# --- the step ---


def test_a_step_draws_samples_that_begin_as_the_pretrained_restoration_and_then_differ(make_params):
    pretrained = trained_like(build_generator(make_params().model, 1))
    params = make_params(STOCHASTIC | {"train": {"sampling": {"samples": 3}}})
    state, plan = adversarial_training(params, None, generator=pretrained)
    batch = batch_of()
    for sample in plan.step.draw(state, batch):
        torch.testing.assert_close(sample, pretrained(batch.noisy, batch.sigma))
    for player in state.players().values():
        player.set_lr(10.0)
    plan.step(state, batch)
    one, other, _ = plan.step.draw(state, batch)
    assert (one - other).abs().mean() > 1e-4


def test_the_terms_are_those_of_a_single_sample_and_of_the_mean(make_params):
    weights = {"weight": 3.0, "energy_weight": 2.0, "spread_weight": 0.5}
    params = make_params(STOCHASTIC | {"train": {"sampling": weights}})
    state, plan = adversarial_training(params, None)
    with torch.no_grad():
        state.generator.network.head.weight += normal(*state.generator.network.head.weight.shape) / 10
    batch = batch_of()
    samples = plan.step.draw(state, batch)
    before = parameters(state.discriminator.network)
    stats = plan.step.generator_step(state, samples, batch)
    assert same(before, parameters(state.discriminator.network))
    assert set(stats) == {"pixel", "energy", "spread", "adversarial", "generator_gradient_norm"}
    one, other = (sample.detach() - batch.clean for sample in samples)
    expected = 3.0 * ((one * other).mean((1, 2, 3)) * level_weights(batch.sigma)).mean()
    assert stats["pixel"] == pytest.approx(float(expected), rel=1e-4)
    energy = float(energy_score(samples.detach(), batch.clean).mean())
    assert stats["energy"] == pytest.approx(2.0 * energy, rel=1e-4)
    spread = float(spread_penalty(samples.detach(), batch))
    assert stats["spread"] == pytest.approx(0.5 * spread, rel=1e-4)


def test_health_judges_the_gain_of_the_mean_and_the_diversity_of_samples(make_params):
    _, plan = adversarial_training(make_params(STOCHASTIC), None)
    batch = batch_of(8)
    spread = [batch.sigma.view(-1, 1, 1, 1) * normal(*batch.clean.shape, seed=seed) for seed in (5, 6)]
    samples = batch.clean + torch.stack(spread)
    figures = plan.step.figures(samples, batch)
    # The noisy image is a sample like these here; the mean of two errs half as much, squared.
    assert figures["gain_db"] == pytest.approx(10 * math.log10(2), abs=0.2)
    assert figures["diversity"] == pytest.approx(math.sqrt(2), abs=0.1)
    assert plan.step.figures(samples[[0, 0]], batch)["diversity"] == 0


def test_sampling_resumes_exactly_and_the_seed_decides_what_is_drawn(
    make_params, photo, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    changes = {"model": {"stochastic": True}, "train": {"steps": 4, "validate_every": 2}}
    params = make_params(changes)
    data = small_dataset(params, params.train, photo, tmp_path / "patches")

    def trained(folder, *, start_seed=0, stop=None, params=params):
        state, plan = adversarial_training(params, data, seed=start_seed)
        if stop:
            plan = replace(plan, step=stopping(plan.step, stop))
        checkpoint = Checkpoint("t", "key", root=tmp_path / folder)
        fit(state, plan, checkpoint=checkpoint, log=Recorder(), name="t")
        return state.state_dict()

    whole = trained("whole")
    with pytest.raises(InterruptedError):
        trained("halves", stop=2)
    assert same(whole, trained("halves", start_seed=5))
    other = trained("other", params=params.model_copy(update={"seed": 1}))
    assert not same(whole["generator"], other["generator"])


def stopping(step, at):
    def stopped(state, batch):
        if state.step == at:
            raise InterruptedError
        return step(state, batch)

    return stopped


# --- validation ---


def test_diversity_is_one_for_samples_of_the_truth_and_none_where_z_is_ignored():
    rng = np.random.default_rng(0)
    guess = rng.normal(size=(128, 128, 3))
    clean, one, other = (guess + 0.1 * rng.normal(size=guess.shape) for _ in range(3))
    assert diversity(one, other, clean) == pytest.approx(1, abs=0.05)
    assert diversity(guess, guess, clean) == 0
    timid = [guess + 0.5 * (sample - guess) for sample in (one, other)]
    assert diversity(*timid, clean) == pytest.approx(0.25, abs=0.02)


def test_a_collapse_is_warned_of_and_at_the_end_an_error(make_params, caplog):
    settings = make_params({"train": {"steps": 100, "sampling": {"least_diversity": 0.5}}}).train
    with caplog.at_level(logging.WARNING):
        check_diversity(0.1, 20, settings)  # too early to tell
        check_diversity(0.6, 100, settings)
        assert not caplog.records
        check_diversity(0.1, 30, settings)
    (warning,) = caplog.messages
    said = r"expected at least train\.sampling\.least_diversity = 0\.5: the generator ignores z"
    assert "step 30: val_diversity = 0.1" in warning
    with pytest.raises(Collapsed, match=said):
        check_diversity(0.1, 100, settings)


@pytest.fixture
def pair(photo):
    clean = to_8_bit(photo[:32, :48, :1])
    noise = np.random.default_rng(0).normal(0, 0.1, clean.shape).astype(np.float32)
    return Pair("a", "sigma_25", 0.1, clean, clean + noise)


def test_validation_is_of_the_mean_of_two_samples_always_by_the_same_z(make_params, pair):
    params = make_params(STOCHASTIC)
    state, _ = adversarial_training(params, None)
    with torch.no_grad():
        state.ema.network.head.weight[:, 2:] = 0.2
    shown, figures = measure_twice(state, pair, seed=3)
    assert list(figures) == ["val_psnr", "val_ssim", "val_sample_psnr", "val_diversity"]
    again, same_figures = measure_twice(state, pair, seed=3)
    assert same_figures == figures
    np.testing.assert_array_equal(again, shown)
    assert figures["val_sample_psnr"] == psnr(shown, pair.clean, data_range=1.0)
    assert figures["val_psnr"] > figures["val_sample_psnr"]
    assert figures["val_diversity"] > 0
    assert measure_twice(state, pair, seed=4)[1] != figures


def test_the_validator_of_the_stage_measures_diversity_of_stochastic_generators_alone(
    make_params, photo, tmp_path, monkeypatch
):
    write_image(tmp_path / "raw/val/v.png", photo[:40, :40, :1])
    monkeypatch.chdir(tmp_path)

    def degrade(clean, level, *, generator):
        return clean + level * torch.randn(clean.shape, generator=generator), level

    make_noisy_sets(tmp_path / "raw", tmp_path / "noisy", [("s_1", 0.1)], degrade, seed=0)
    pairs = NoisySet("val", noisy=tmp_path / "noisy", raw=tmp_path / "raw")
    monkeypatch.setattr(setup, "NoisySet", lambda split: pairs)
    params = make_params(STOCHASTIC | {"train": {"steps": 4}})
    state, _ = adversarial_training(params, None)
    validate = adversarial_validator(params, lambda *_: None)
    assert validate(state)["val_diversity"] == 0
    state.step = 4
    with pytest.raises(Collapsed, match="step 4: val_diversity = 0; expected"):
        validate(state)
    plain = make_params({"data": {"channels": 1}})
    state, _ = adversarial_training(plain, None)
    assert list(adversarial_validator(plain, lambda *_: None)(state)) == ["val_psnr", "val_ssim"]


# --- learning ---


def coins(count, *, generator):
    """Images each pixel of which is dark or bright by the toss of a coin, so noisy that it cannot be told."""
    clean = 0.5 + 0.2 * (2.0 * torch.randint(0, 2, (count, 1, 16, 16), generator=generator) - 1)
    noise = 0.2 * torch.randn(clean.shape, generator=generator)
    return Batch(clean, clean + noise, torch.full((count,), 0.2))


def test_in_a_real_training_diversity_grows_from_none_and_the_mean_stays_right(make_params):
    params = make_params(
        {
            "data": {"channels": 1},
            "model": {"unet": {"widths": [8], "blocks": [2]}},
            "pretrain": {"lr": 3e-3, "gradient_clip": 1.0},
            "train": {
                "lr": 3e-3,
                "discriminator_lr": 3e-3,
                "discriminator": {"width": 8, "conditional": True},
            },
        }
    )
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    state = start_state(build_generator(params.model, 1), params.pretrain, CPU)
    pixel = PixelStep(
        lambda restored, clean: (restored - clean).square().mean((1, 2, 3)), balance_levels=False
    )
    for _ in range(60):
        pixel(state, coins(8, generator=generator))
    pretrained = state.generator.network

    params = params.model_copy(update={"model": params.model.model_copy(update={"stochastic": True})})
    state, plan = adversarial_training(params, None, generator=pretrained)
    for player in state.players().values():
        player.set_lr(1.0)

    def measured():
        seen = coins(32, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            one, other = (
                state.generator.network(seen.noisy, seen.sigma, normal(*seen.noisy.shape, seed=seed)).numpy()
                for seed in (1, 2)
            )
        clean = seen.clean.numpy()
        return diversity(one, other, clean), float(((one - clean) * (other - clean)).mean())

    start, error = measured()
    assert start < 1e-6
    for _ in range(40):
        plan.step(state, coins(8, generator=generator))
        state.step += 1
    grown, error_after = measured()
    assert grown > 0.2
    assert error_after < 1.3 * error

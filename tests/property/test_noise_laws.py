"""Laws of the noise models."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from degrain.noise import (
    Chain,
    Correlated,
    Gaussian,
    Jpeg,
    Link,
    Poisson,
    PoissonGaussian,
    SaltPepper,
    Speckle,
)
from degrain.seeding import seeded_generator

CAMERA = Chain((Link(PoissonGaussian(3.0), 0.0, 0.05), Link(Jpeg(), 90, 10)))
# name: model, weak level, strong level
MODELS = {
    "gaussian": (Gaussian(), 5.0, 50.0),
    "poisson": (Poisson(), 200.0, 10.0),
    "poisson-gaussian": (PoissonGaussian(3.0), 0.001, 0.05),
    "salt-pepper": (SaltPepper(), 0.1, 0.3),
    "speckle": (Speckle(), 0.05, 0.5),
    "jpeg": (Jpeg(), 90.0, 10.0),
    "correlated": (Correlated(1.5), 5.0, 50.0),
    "chain": (CAMERA, 0.1, 0.9),
}
every_model = pytest.mark.parametrize("name", MODELS)
every_random_model = pytest.mark.parametrize("name", [name for name in MODELS if name != "jpeg"])
quick = settings(deadline=None, max_examples=12)
sides = st.integers(1, 19)
seeds = st.integers(0, 2**32 - 1)


def drawn(model, clean, level, *, seed=0):
    levels = torch.as_tensor(level, dtype=torch.float32).expand(len(clean))
    return model(clean, levels, generator=seeded_generator(seed))


def flat(value, *, size=256, channels=1, count=1):
    return torch.full((count, channels, size, size), value)


def scene(*, size=128, channels=3):
    """Smooth shapes from black to white."""
    ramp = torch.linspace(0, 1, size)
    rings = 0.5 + 0.5 * torch.sin(12 * (ramp[:, None] ** 2 + ramp[None] ** 2))
    return torch.stack([rings.roll(9 * channel, 0) for channel in range(channels)])[None]


@every_model
@quick
@given(count=st.integers(1, 3), channels=st.sampled_from([1, 3]), height=sides, width=sides, seed=seeds)
def test_any_shape_gives_the_same_shape_type_and_bytes_again(name, count, channels, height, width, seed):
    model, weak, strong = MODELS[name]
    clean = torch.rand((count, channels, height, width), generator=seeded_generator(seed))
    before = clean.clone()
    levels = torch.linspace(weak, strong, count)
    first, second = (model(clean, levels, generator=seeded_generator(seed)) for _ in range(2))
    assert first.shape == clean.shape
    assert first.dtype == clean.dtype == torch.float32
    assert first.isfinite().all()
    assert torch.equal(first, second)
    assert torch.equal(clean, before)
    sigma = model.sigma(clean, levels)
    assert sigma.shape == (count,)
    assert (sigma >= 0).all()


@every_model
def test_no_global_randomness_is_used(name):
    model, _, strong = MODELS[name]
    state = torch.get_rng_state()
    drawn(model, scene(size=16), strong)
    model.sigma(scene(size=16), torch.tensor([strong]))
    assert torch.equal(torch.get_rng_state(), state)


@every_random_model
def test_another_seed_gives_other_noise(name):
    model, weak, _ = MODELS[name]
    clean = scene(size=32)
    assert not torch.equal(drawn(model, clean, weak, seed=1), drawn(model, clean, weak, seed=2))


@every_model
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_sigma_is_the_root_mean_square_of_the_noise(name, channels, share):
    model, weak, strong = MODELS[name]
    clean, level = scene(channels=channels), weak + share * (strong - weak)
    expected = model.sigma(clean, torch.tensor([level])).item()
    noise = torch.cat([drawn(model, clean, level, seed=seed) for seed in range(4)]) - clean
    # A chain's sigma is itself measured on a draw, and JPEG leaves few independent values.
    tolerance = 0.1 if name == "chain" else 0.02
    assert noise.square().mean().sqrt().item() == pytest.approx(expected, rel=tolerance)


@every_model
def test_a_stronger_level_has_a_larger_sigma(name):
    model, weak, strong = MODELS[name]
    sigma = model.sigma(scene().expand(3, -1, -1, -1), torch.linspace(weak, strong, 3))
    assert sigma[0] < sigma[1] < sigma[2]


@every_model
def test_each_image_has_its_own_level(name):
    model, weak, strong = MODELS[name]
    both = scene().expand(2, -1, -1, -1)
    levels = torch.tensor([weak, strong])
    noise = model(both, levels, generator=seeded_generator(0)) - both
    measured = noise.square().flatten(1).mean(1).sqrt()
    torch.testing.assert_close(measured, model.sigma(both, levels), rtol=0.05, atol=0)


@pytest.mark.parametrize("name", ["gaussian", "correlated", "speckle", "salt-pepper"])
def test_level_zero_leaves_the_image_as_it_is(name):
    assert torch.equal(drawn(MODELS[name][0], scene(), 0.0), scene())


@pytest.mark.parametrize("name", ["gaussian", "correlated", "speckle", "poisson", "poisson-gaussian"])
@quick
@given(value=st.floats(0.05, 0.95), share=st.floats(0, 1), seed=seeds)
def test_the_mean_of_the_noise_is_zero(name, value, share, seed):
    model, weak, strong = MODELS[name]
    level = weak + share * (strong - weak)
    clean = flat(value, size=128)
    noise = drawn(model, clean, level, seed=seed) - clean
    # The correlated field holds fewer independent values: one in 4 pi blur^2.
    independent = noise.numel() / (4 * math.pi * 1.5**2 if name == "correlated" else 1)
    error = model.sigma(clean, torch.tensor([level])).item() / math.sqrt(independent)
    assert abs(noise.double().mean().item()) < 6 * error


@pytest.mark.parametrize(
    "name", ["gaussian", "correlated", "speckle", "poisson", "poisson-gaussian", "salt-pepper"]
)
def test_the_noise_of_one_channel_tells_nothing_of_another(name):
    model, _, strong = MODELS[name]
    clean = flat(0.5, channels=3)
    noise = (drawn(model, clean, strong) - clean)[0].flatten(1)
    struck_or_sign = torch.corrcoef(torch.cat([noise, noise.abs()]))
    cross = torch.stack([struck_or_sign[a, b] for a, b in [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)]])
    independent = noise.shape[1] / (4 * math.pi * 1.5**2 if name == "correlated" else 1)
    assert cross.abs().max() < 5 / math.sqrt(independent)


def test_gaussian_noise_is_white_and_normal():
    noise = drawn(Gaussian(), flat(0.5, size=1024), 25.0) - 0.5
    assert noise.std().item() * 255 == pytest.approx(25, rel=0.003)
    assert (noise**4).mean() / noise.var() ** 2 == pytest.approx(3, abs=0.1)
    assert abs((noise[..., 1:] * noise[..., :-1]).mean() / noise.var()) < 0.01


def test_gaussian_noise_twice_is_gaussian_noise_of_the_root_of_the_sum_of_squares():
    twice = drawn(Gaussian(), drawn(Gaussian(), flat(0.5), 15.0, seed=1), 20.0, seed=2)
    assert (twice - 0.5).std().item() * 255 == pytest.approx(25, rel=0.02)


@quick
@given(level=st.floats(1, 60), factor=st.floats(0.1, 4), seed=seeds)
def test_the_draw_does_not_depend_on_the_level(level, factor, seed):
    for model in (Gaussian(), Correlated(1.0), Speckle()):
        clean = flat(0.0 if not isinstance(model, Speckle) else 1.0, size=8)
        weak, strong = (drawn(model, clean, value, seed=seed) - clean for value in (level, level * factor))
        torch.testing.assert_close(weak * factor, strong, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("peak", [3.0, 40.0, 1000.0])
@pytest.mark.parametrize("value", [0.02, 0.5, 1.0])
def test_poisson_noise_counts_photons_with_variance_mean_over_peak(peak, value):
    noisy = drawn(Poisson(), flat(value), peak)
    counts = noisy.double() * peak
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=2e-4)
    assert noisy.mean().item() == pytest.approx(value, abs=6 * math.sqrt(value / peak) / 256)
    assert noisy.var().item() == pytest.approx(value / peak, rel=0.06)


def test_darkness_counts_no_photons_and_negative_values_are_darkness():
    assert torch.equal(drawn(Poisson(), flat(0.0), 10.0), flat(0.0))
    assert torch.equal(drawn(Poisson(), flat(-0.3), 10.0), flat(0.0))


def test_poisson_gaussian_without_read_noise_is_poisson():
    torch.testing.assert_close(
        drawn(PoissonGaussian(0.0), scene(), 1 / 32), drawn(Poisson(), scene(), 32.0), rtol=0, atol=0
    )


@pytest.mark.parametrize("gain", [0.0, 1e-9, 1e-4, 0.02])
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_poisson_gaussian_variance_is_gain_times_signal_plus_read_noise(gain, value):
    noise = drawn(PoissonGaussian(5.0), flat(value), gain) - value
    assert noise.var().item() == pytest.approx(gain * value + (5 / 255) ** 2, rel=0.03)


@quick
@given(amount=st.floats(0, 1), seed=seeds)
def test_salt_and_pepper_strikes_half_and_half_and_leaves_the_rest(amount, seed):
    noisy = drawn(SaltPepper(), flat(0.5), amount, seed=seed)
    salt, pepper, rest = ((noisy == value).double().mean().item() for value in (1.0, 0.0, 0.5))
    tolerance = 6 * math.sqrt(amount * (1 - amount / 2) / 2) / 256 + 1e-6
    assert salt + pepper + rest == pytest.approx(1)
    assert salt == pytest.approx(amount / 2, abs=tolerance)
    assert pepper == pytest.approx(amount / 2, abs=tolerance)


def test_speckle_is_in_proportion_to_the_signal():
    dim, bright = (drawn(Speckle(), flat(value), 0.2) - value for value in (0.2, 0.8))
    torch.testing.assert_close(4 * dim, bright, rtol=0, atol=1e-6)
    assert bright.std().item() == pytest.approx(0.2 * 0.8, rel=0.02)


@pytest.mark.parametrize("blur_px", [0.1, 0.8, 2.0])
def test_correlated_noise_has_the_same_variance_at_the_border(blur_px):
    noise = drawn(Correlated(blur_px), flat(0.0, size=7, count=9000), 25.0) * 255
    variance = noise.square().mean((0, 1))
    torch.testing.assert_close(variance, torch.full((7, 7), 625.0), rtol=0.1, atol=0)


@pytest.mark.parametrize("blur_px", [0.8, 1.5])
def test_the_spectrum_of_correlated_noise_is_gaussian(blur_px):
    noise = drawn(Correlated(blur_px), flat(0.0, size=128, count=64), 255.0)[:, 0]
    lags = [(noise[..., lag:] * noise[..., : 128 - lag]).mean() for lag in range(6)]
    expected = [math.exp(-(lag**2) / (4 * blur_px**2)) for lag in range(6)]
    torch.testing.assert_close(torch.stack(lags), torch.tensor(expected), rtol=0, atol=0.03)
    power = torch.fft.rfft(noise * torch.hann_window(128)).abs().square().mean((0, 1))
    for cycles in (8, 16, 24):  # in 128 pixels
        exponent = -((2 * math.pi * blur_px / 128) ** 2) * (cycles**2 - 4**2)
        assert (power[cycles] / power[4]).item() == pytest.approx(math.exp(exponent), rel=0.15)


def test_a_chain_of_one_is_its_model():
    chain = Chain((Link(Gaussian(), 10.0, 50.0),))
    assert torch.equal(drawn(chain, scene(), 0.25), drawn(Gaussian(), scene(), 20.0))


def test_a_chain_applies_its_links_in_order_with_one_generator():
    links = (Link(Gaussian(), 0.0, 40.0), Link(Poisson(), 100.0, 10.0), Link(Jpeg(), 90, 10))
    generator, noisy = seeded_generator(0), scene()
    for link, level in zip(links, (20.0, 55.0, 50.0), strict=True):
        noisy = link.model(noisy, torch.tensor([level]), generator=generator)
    assert torch.equal(drawn(Chain(links), scene(), 0.5), noisy)
    assert not torch.equal(drawn(Chain(links[::-1]), scene(), 0.5), noisy)

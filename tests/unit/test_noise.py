"""Building noise models, levels, seeds, the JPEG codec, quantising."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from degrain.build.noise import build_noise, draw_levels, level_key
from degrain.noise import (
    Chain,
    Correlated,
    Gaussian,
    Jpeg,
    Poisson,
    PoissonGaussian,
    SaltPepper,
    Speckle,
    quantize,
)
from degrain.noise.chain import Link
from degrain.seeding import seeded_generator

KINDS = {
    "gaussian": (Gaussian(), 25, "sigma_25"),
    "poisson": (Poisson(), 30, "peak_30"),
    "poisson-gaussian": (PoissonGaussian(4.0), 0.005, "gain_0.005"),
    "salt-pepper": (SaltPepper(), 0.05, "amount_0.05"),
    "speckle": (Speckle(), 0.1, "sigma_0.1"),
    "jpeg": (Jpeg(), 30.0, "quality_30"),
    "correlated": (Correlated(0.7), 15.5, "sigma_15.5"),
}
SETTINGS = {"poisson_gaussian": {"read_noise_255": 4.0}, "correlated": {"blur_px": 0.7}}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_in_the_params_becomes_a_model(make_params, kind):
    model = build_noise(make_params({"noise": {"kind": kind, **SETTINGS}}).noise)
    expected, level, key = KINDS[kind]
    assert model == expected
    assert level_key(model, level) == key


def test_a_chain_ranges_over_what_its_kinds_train_on(make_params):
    chain = {"kinds": ["jpeg", "gaussian", "speckle"]}
    changes = {"kind": "chain", "chain": chain, "jpeg": {"train": [80, 20]}, "speckle": {"train": 0.25}}
    section = make_params({"noise": changes}).noise
    model = build_noise(section)
    sigma = section.gaussian.train_range
    assert model == Chain((Link(Jpeg(), 80, 20), Link(Gaussian(), *sigma), Link(Speckle(), 0.25, 0.25)))
    assert level_key(model, 0.5) == "strength_0.5"
    assert model.links[0].level(torch.tensor([0.0, 0.5, 1.0])).tolist() == [80, 50, 20]


def test_training_levels_fill_their_range(make_params):
    noise = make_params({"noise": {"poisson": {"train": [200, 8]}, "speckle": {"train": 0.25}}}).noise
    levels = draw_levels(noise.poisson, 4000, generator=seeded_generator(0))
    assert levels.shape == (4000,)
    assert levels.min() >= 8
    assert levels.max() <= 200
    share_of_each_eighth = torch.histc(levels, 8, 8, 200) / 4000
    torch.testing.assert_close(share_of_each_eighth, torch.full((8,), 1 / 8), rtol=0, atol=0.03)
    assert draw_levels(noise.speckle, 3, generator=seeded_generator(0)).tolist() == [0.25] * 3


def test_the_seed_follows_from_every_part():
    parts = [(0, "moon", "sigma_25"), (0, "moon", "sigma_5"), (1, "moon", "sigma_25"), (0, "sun", "sigma_25")]
    tricky = [("ab", "c"), ("a", "bc"), ("abc",), (1,), ("1",), ("a", 1), (1, "a"), ()]
    draws = {torch.rand(2, generator=seeded_generator(*each)) for each in parts + tricky}
    assert len({tuple(draw.tolist()) for draw in draws}) == len(parts) + len(tricky)


def test_the_seed_is_the_same_on_any_day():
    # printf '[0, "m\\u0153uf", "sigma_25"]' | sha256sum; the first 8 bytes, little end first.
    assert seeded_generator(0, "mœuf", "sigma_25").initial_seed() == 0x84ECE4BD80F16B3B


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (17, 40)])
def test_jpeg_is_what_the_codec_gives(channels, size):
    height, width = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels).save(file, "JPEG", quality=31)
    expected = np.asarray(Image.open(file), dtype=np.float32).reshape(pixels.shape) / 255
    clean = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    for level in (30.6, 31.4):
        noisy = Jpeg()(clean, torch.tensor([level]), generator=seeded_generator(0))
        np.testing.assert_array_equal(noisy[0].permute(1, 2, 0).numpy(), expected)


def test_jpeg_clips_what_it_is_given():
    clean = torch.tensor([-0.5, 1.5]).view(2, 1, 1, 1).expand(2, 3, 8, 8)
    noisy = Jpeg()(clean, torch.tensor([90.0, 90.0]), generator=seeded_generator(0))
    assert noisy.flatten(1).amax(1).tolist() == noisy.flatten(1).amin(1).tolist() == [0, 1]


def test_quantized_values_are_those_of_8_bits():
    noisy = torch.tensor([-1.0, 0.0, 0.4999 / 255, 0.5001 / 255, 100.4 / 255, 1.0, 2.5])
    assert (quantize(noisy) * 255).tolist() == pytest.approx([0, 0, 0, 1, 100, 255, 255])


@pytest.mark.parametrize(
    ("model", "level", "complaint"),
    [
        (Gaussian(), [1.0, 2.0], r"clean \(1, 2, 4, 4\), level \(2,\)"),
        (Poisson(), [0.0], "peak = 0; expected levels above 0"),
        (PoissonGaussian(1.0), [-0.1], "gain = -0.1; expected levels of 0 or more"),
        (Jpeg(), [50.0], "2 channels; JPEG takes 1 or 3"),
    ],
)
def test_what_cannot_be_drawn_is_refused(model, level, complaint):
    with pytest.raises(ValueError, match=complaint):
        model(torch.zeros(1, 2, 4, 4), torch.tensor(level), generator=seeded_generator(0))


def test_jpeg_refuses_qualities_that_do_not_exist():
    with pytest.raises(ValueError, match="expected 1 to 95"):
        Jpeg()(torch.zeros(1, 3, 4, 4), torch.tensor([0.2]), generator=seeded_generator(0))

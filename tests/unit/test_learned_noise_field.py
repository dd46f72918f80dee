"""Blocks of noise laid over an image."""

from __future__ import annotations

import pytest
import torch

from degrain.build.learned_noise import build_block_noise, load_block_noise, save_block_noise
from degrain.build.noise import build_noise, level_key
from degrain.errors import DegrainError
from degrain.models.dcgan import DcganCritic, DcganGenerator
from degrain.noise import Learned
from degrain.seeding import seeded_generator

SIDE = 16


class White:
    """Blocks of white noise, in proportion to the brightness."""

    channels, side_px, numbers = 2, SIDE, 2 * SIDE * SIDE

    def to(self, device):
        return self

    def __call__(self, z, brightness, level_255):
        assert len(z) == len(brightness) == len(level_255)
        strength = brightness * level_255[:, None] / 255
        return z.view(-1, 2, SIDE, SIDE) * strength[..., None, None]


def noise_on(clean, level=50.0, seed=0):
    levels = torch.full((len(clean),), level)
    return Learned(White())(clean, levels, generator=seeded_generator(seed)) - clean


def test_learned_noise_has_the_variance_of_its_blocks_everywhere():
    clean = torch.ones(800, 2, 13, 21)
    deviation = noise_on(clean).std(0) * 255
    torch.testing.assert_close(deviation, torch.full((2, 13, 21), 50.0), rtol=0.12, atol=0)
    assert deviation.mean() == pytest.approx(50, rel=0.01)


def test_learned_noise_follows_the_brightness():
    clean = torch.full((40, 2, 64, 128), 0.25)
    clean[..., 64:] = 1.0
    deviation = noise_on(clean).std((0, 1, 2)) * 255
    assert deviation[:48].mean() == pytest.approx(12.5, rel=0.03)
    assert deviation[80:].mean() == pytest.approx(50, rel=0.03)
    assert (deviation.diff() > -2).all()  # from the one to the other without a step back


def test_learned_noise_of_white_blocks_stays_white():
    noise = noise_on(torch.ones(200, 2, 40, 40))
    for step in (1, 2, 4):
        assert (noise[..., step:] * noise[..., :-step]).mean() * 255**2 == pytest.approx(0, abs=8)
    assert (noise[:, 0] * noise[:, 1]).mean() * 255**2 == pytest.approx(0, abs=8)


@pytest.mark.parametrize("size", [(1, 1), (7, 33), (64, 16)])
def test_learned_noise_takes_any_size_and_repeats_itself(size):
    clean = torch.rand((3, 2, *size), generator=seeded_generator(5))
    first, again, other = (noise_on(clean, seed=seed) for seed in (1, 1, 2))
    assert first.shape == clean.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_learned_noise_lies_on_another_grid_each_time():
    class Marked(White):
        def __call__(self, z, brightness, level_255):
            block = torch.zeros(len(z), 2, SIDE, SIDE)
            block[:, :, 5, 5] = 1
            return block

    fields = [
        Learned(Marked())(torch.zeros(1, 2, 24, 24), torch.ones(1), generator=seeded_generator(seed))
        for seed in range(40)
    ]
    assert len({tuple(field.flatten().nonzero().flatten().tolist()) for field in fields}) > 20


def test_learned_noise_refuses_other_channels():
    with pytest.raises(DegrainError, match=r"images of 3 channels; .* of 2: set data.channels to 2"):
        Learned(White())(torch.zeros(1, 3, 8, 8), torch.ones(1), generator=seeded_generator(0))


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3), (64, 3)])
def test_dcgan_makes_images_of_its_side(side, channels):
    made = DcganGenerator(20, channels, side_px=side, width=4)(torch.randn(2, 20))
    assert made.shape == (2, channels, side, side)
    assert DcganCritic(channels, side_px=side, width=4)(made).shape == (2, 1)


def test_dcgan_refuses_sides_that_cannot_be_halved():
    with pytest.raises(ValueError, match="side_px = 31; expected an even number from 8 on"):
        DcganGenerator(20, 1, side_px=31, width=4)


def test_every_pixel_of_a_learned_noise_block_hangs_on_z():
    network = DcganGenerator(8, 1, side_px=16, width=4).eval()
    z = torch.randn(6, 8)
    assert (network(z).std(0) > 0).all()


@pytest.fixture
def saved(tmp_path, make_params):
    """A generator of learned noise on disk, untrained, the network and the params that use it."""
    section = make_params().noise_model
    network = build_block_noise(section, 3).eval()
    network.levels_255.copy_(torch.tensor([2.0, 5.0]))
    path = tmp_path / "generator.safetensors"
    save_block_noise(path, network, section)
    changes = {"noise": {"kind": "learned", "learned": {"generator": str(path), "train": [2, 5]}}}
    return path, network, make_params(changes)


def test_learned_noise_comes_back_from_its_file(saved):
    path, network, params = saved
    loaded, rule = load_block_noise(path)
    assert rule.side_px == network.side_px == params.noise_model.blocks.side_px
    told = torch.randn(4, network.numbers), torch.rand(4, 3), torch.tensor([1.0, 2.0, 5.0, 9.0])
    torch.testing.assert_close(loaded(*told), network(*told))
    model = build_noise(params.noise)
    assert level_key(model, 4) == "sigma_4"
    noisy = model(torch.rand(2, 3, 40, 40), torch.tensor([2.0, 4.0]), generator=seeded_generator(0))
    assert noisy.isfinite().all()


def test_learned_noise_beyond_the_levels_seen_differs_in_strength_alone(saved):
    _, network, _ = saved
    z, brightness = torch.randn(1, network.numbers), torch.rand(1, 3)
    at_most, beyond = (network(z, brightness, torch.tensor([level])) for level in (5.0, 10.0))
    torch.testing.assert_close(beyond, 2 * at_most)


@pytest.mark.parametrize("contents", [None, b"", b"not safetensors at all"])
def test_learned_noise_says_what_is_missing(tmp_path, contents):
    path = tmp_path / "generator.safetensors"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(
        DegrainError, match=r"generator\.safetensors: (no such file|expected a generator of noise)"
    ):
        load_block_noise(path)

"""Whole-image inference: padding, tiles, channels, the noise level."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from degrain.build.generator import save_generator
from degrain.files import to_array, to_channels, to_tensor
from degrain.models.dncnn import Dncnn
from degrain.models.unet import Unet
from degrain.noise_level import noise_level
from degrain.restore import Restorer, mirrored, pad_to_multiple
from degrain.tiles import QUICK_PX, seen_later, tiles
from degrain.turns import TURNS
from training_support import CPU, trained_like

RNG = np.random.default_rng(3)
GENERATORS = {
    "unet": lambda channels: Unet(channels, widths=[4, 6, 8], blocks=[1, 1, 2]),
    "one scale": lambda channels: Unet(channels, widths=[4], blocks=[2]),
    "dncnn": lambda channels: Dncnn(channels, depth=5, width=6),
}
every_generator = pytest.mark.parametrize("name", GENERATORS)
both_channels = pytest.mark.parametrize("channels", [1, 3])


def random_image(height, width, channels):
    return RNG.random((height, width, channels), dtype=np.float32)


def restorer(name, channels):
    return Restorer(trained_like(GENERATORS[name](channels)), channels, CPU)


@pytest.mark.parametrize(
    ("height", "width", "tile"), [(100, 70, 16), (64, 64, 32), (33, 49, 48), (5, 97, 16)]
)
@every_generator
def test_restoring_in_tiles_equals_restoring_whole(cut_into, name, height, width, tile):
    restore_, noisy = restorer(name, 3), random_image(height, width, 3)
    whole = restore_(noisy, 0.1)
    calls = []
    restore_.network.register_forward_hook(lambda *_: calls.append(1))
    cut_into(tile)
    tiled = restore_(noisy, 0.1)
    assert len(calls) == -(-height // tile) * -(-width // tile)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    assert np.abs(whole - noisy).max() > 0.05  # the network does something


@every_generator
def test_tiles_that_do_not_overlap_show(cut_into, name):
    restore_, noisy = restorer(name, 3), random_image(64, 64, 3)
    whole = restore_(noisy, 0.1)
    cut_into(32)
    restore_.overlap_px = 0
    assert np.abs(restore_(noisy, 0.1) - whole).max() > 1e-3


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 16), (17, 33), (40, 8), (150, 97)])
@pytest.mark.parametrize("overlap", [0, 4, 40])
@pytest.mark.parametrize("multiple", [1, 4, 8])
@pytest.mark.parametrize("turn", TURNS)
def test_tiles_are_a_partition_with_surroundings(monkeypatch, height, width, overlap, multiple, turn):
    monkeypatch.setattr("degrain.tiles.TILE_PX", 16)
    image = RNG.random((height, width, 1))
    turned = turn.apply(image)
    rebuilt, times = np.full_like(image, np.nan), np.zeros_like(image)
    cut = tiles(height, width, overlap_px=overlap, multiple=multiple, turn=turn)
    for tile, inner, target in cut:
        part = turned[tile]
        rebuilt[target] = turn.undo(part[inner])
        times[target] += 1
        for seen, kept, length in zip(tile, inner, turned.shape, strict=False):
            assert seen.start % multiple == 0
            assert kept.start >= min(overlap, seen.start + kept.start)
            assert seen.start + kept.stop + overlap <= seen.stop or seen.stop == length
            padded = -(-length // multiple) * multiple
            side = (padded if seen.stop == length else seen.stop) - seen.start
            assert side % QUICK_PX == 0 or seen == slice(0, length)
            assert side < 16 + 2 * overlap + 2 * multiple + QUICK_PX
    np.testing.assert_array_equal(rebuilt, image)
    np.testing.assert_array_equal(times, 1)


@pytest.mark.parametrize("overlap", [0, 12, 40])
@pytest.mark.parametrize("turn", TURNS)
def test_a_tile_may_be_overwritten_once_no_later_one_sees_it(monkeypatch, overlap, turn):
    monkeypatch.setattr("degrain.tiles.TILE_PX", 16)
    height, width = 180, 90
    turned = turn.apply(np.arange(height * width).reshape(height, width, 1))
    cut = tiles(height, width, overlap_px=overlap, multiple=4, turn=turn)
    later = seen_later(width, overlap, 4)
    last = np.zeros(height * width, int)  # the last tile that sees a pixel
    for number, (seen, _, _) in enumerate(cut):
        last[turned[seen]] = number
    last = last.reshape(height, width)
    assert all(last[place].max() <= number + later for number, (_, _, place) in enumerate(cut))


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (9, 11), (8, 8), (7, 4)])
def test_padding_mirrors_as_numpy_does_and_no_more_than_needed(shape):
    image = torch.rand(1, 2, *shape)
    more = [(0, 0), (0, 0), *((0, -side % 4) for side in shape)]
    np.testing.assert_array_equal(pad_to_multiple(image, 4), np.pad(image.numpy(), more, mode="reflect"))
    assert torch.equal(pad_to_multiple(image, 1), image)


@pytest.mark.parametrize(
    ("side", "indices"), [(1, "00000000"), (2, "01000000"), (4, "01232100"), (9, "0123456787654321")]
)
def test_sides_are_mirrored_and_where_too_short_repeat_their_first_pixel(side, indices):
    assert mirrored(side, 8).tolist() == [int(index) for index in indices]


@every_generator
@both_channels
def test_an_image_in_the_networks_channels_goes_through_once(name, channels):
    noisy = random_image(20, 24, channels)
    network = trained_like(GENERATORS[name](channels))
    with torch.no_grad():
        expected = to_array(network(to_tensor(noisy), torch.tensor([0.2])))
    np.testing.assert_allclose(Restorer(network, channels, CPU)(noisy, 0.2), expected, atol=1e-5)


def test_colour_goes_through_a_grey_network_channel_by_channel():
    restore_, noisy = restorer("unet", 1), random_image(13, 18, 3)
    restored = restore_(noisy, 0.1)
    assert restored.shape == noisy.shape
    for channel in range(3):
        window = slice(channel, channel + 1)
        np.testing.assert_allclose(restored[..., window], restore_(noisy[..., window], 0.1), atol=1e-6)


def test_grey_goes_through_a_colour_network_as_three_equal_channels():
    """Their noise is equal too, which a network trained on independent noise sees as stronger."""
    restore_, noisy = restorer("unet", 3), 0.3 + 0.4 * random_image(13, 18, 1)
    restored = restore_(noisy, 0.1)
    assert restored.shape == noisy.shape
    tripled = noisy.repeat(3, axis=2)
    tripled[0, 0, 0] = np.nextafter(tripled[0, 0, 0], 1)  # otherwise it would be grey
    expected = to_channels(restore_(tripled, 0.1 * 3**0.5), 1)
    np.testing.assert_allclose(restored, expected, atol=1e-6)


@every_generator
@both_channels
@pytest.mark.parametrize("sigma", [None, 0.1])
def test_a_grey_image_stored_in_colour_is_restored_as_the_grey_one(name, channels, sigma):
    restore_, grey = restorer(name, channels), random_image(40, 30, 1)
    expected = restore_(grey, sigma).repeat(3, axis=2)
    stored = grey.repeat(3, axis=2)
    np.testing.assert_array_equal(restore_(stored, sigma), expected)
    np.testing.assert_array_equal(restore_.restore_stored(stored, sigma), expected.clip(0, 1))
    for together in restore_.restore_all([stored, grey.repeat(3, axis=2)], sigma):
        np.testing.assert_allclose(together, expected, atol=1e-5)


def test_a_far_reach_is_seen_as_far_as_it_is_felt():
    network = restorer("dncnn", 3).network
    network.reach_px = 100
    assert Restorer(network, 3, CPU).overlap_px == 75
    network.reach_px = 30
    assert Restorer(network, 3, CPU).overlap_px == 30


@every_generator
@both_channels
@pytest.mark.parametrize("given", [1, 3])
@pytest.mark.parametrize("sigma", [None, 0.0, 0.1])
def test_an_untrained_network_keeps_a_constant_image(name, channels, given, sigma):
    flat = np.full((21, 10, given), 0.3, np.float32)
    restored = Restorer(GENERATORS[name](channels), channels, CPU)(flat, sigma)
    np.testing.assert_allclose(restored, flat, atol=1e-6)


def test_values_outside_of_the_range_are_not_clipped():
    noisy = 3 * random_image(9, 9, 3) - 1
    np.testing.assert_array_equal(Restorer(GENERATORS["unet"](3), 3, CPU)(noisy, 0.5), noisy)


def test_without_a_level_it_is_estimated():
    restore_ = restorer("unet", 3)
    noisy = (0.5 + 0.1 * RNG.standard_normal((40, 40, 3))).astype(np.float32)
    estimated = restore_(noisy)
    np.testing.assert_array_equal(estimated, restore_(noisy, noise_level(noisy)))
    assert not np.array_equal(estimated, restore_(noisy, 0.0))


def test_a_saved_generator_restores_alike(make_params, tmp_path):
    model = make_params().model.model_copy(update={"generator": "unet"})
    network = trained_like(Unet(3, widths=model.unet.widths, blocks=model.unet.blocks))
    save_generator(tmp_path / "g.safetensors", network, model, 3)
    noisy = random_image(30, 17, 3)
    loaded = Restorer.load(tmp_path / "g.safetensors", CPU)
    np.testing.assert_array_equal(loaded(noisy, 0.1), Restorer(network, 3, CPU)(noisy, 0.1))

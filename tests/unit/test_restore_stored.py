"""Files restored without ever being in float32 whole, several images at once, and the self-ensemble."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch
from skimage.data import coffee

from degrain import restore
from degrain.build.released import released_path
from degrain.errors import DegrainError
from degrain.files import from_float, to_float
from degrain.models.dncnn import Dncnn
from degrain.models.symmetry import make_equivariant
from degrain.models.unet import Unet, made_stochastic
from degrain.noise_level import noise_level
from degrain.restore import Restorer
from degrain.restorers import Released
from degrain.tiles import tiles
from degrain.turns import TURNS
from training_support import CPU, trained_like

RNG = np.random.default_rng(8)
GENERATORS = {
    "unet": lambda channels: Unet(channels, widths=[4, 6, 8], blocks=[1, 1, 2]),
    "dncnn": lambda channels: Dncnn(channels, depth=5, width=6),
}
every_generator = pytest.mark.parametrize("name", GENERATORS)
odd_sizes = pytest.mark.parametrize("size", [(1, 1), (37, 51), (64, 40)])
every_type = pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])


def restorer(name, channels=3, *, ensemble=False):
    return Restorer(trained_like(GENERATORS[name](channels)), channels, CPU, ensemble=ensemble)


def stored(shape, dtype):
    if dtype == np.float32:
        return RNG.random(shape, dtype=np.float32)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


# --- stored pixels ---


@every_generator
@every_type
@odd_sizes
@pytest.mark.parametrize("given", [1, 3])
@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_stored_pixels_are_restored_as_the_float_image_is(cut_into, name, dtype, size, given, strength):
    network, pixels = restorer(name), stored((*size, given), dtype)
    noisy = to_float(pixels)
    whole = noisy + strength * (network(noisy, 0.1) - noisy)
    cut_into(16)
    before = pixels.copy()
    found = network.restore_stored(pixels, 0.1, strength)
    assert found.dtype == dtype
    np.testing.assert_array_equal(pixels, before)
    within = 1e-5 if dtype == np.float32 else 1  # a value in the middle may be rounded either way
    np.testing.assert_allclose(
        found.astype(float), from_float(whole, pixels.dtype).astype(float), atol=within
    )
    if strength == 0:
        np.testing.assert_array_equal(found, before)


@every_generator
@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (37, 51), (16, 90), (90, 16), (70, 70)])
@pytest.mark.parametrize("tile", [16, 40])
def test_pixels_may_be_overwritten_by_their_restoration(cut_into, name, ensemble, size, tile):
    """Though later tiles see some of the earlier ones: up to three rows of them at the smaller size."""
    cut_into(tile)
    network, pixels = restorer(name, ensemble=ensemble), stored((*size, 3), np.uint8)
    expected = network.restore_stored(pixels, 0.1, 0.7)
    assert network.restore_stored(pixels, 0.1, 0.7, out=pixels) is pixels
    np.testing.assert_array_equal(pixels, expected)


def test_the_noise_of_all_tiles_is_the_noise_of_the_image(cut_into):
    network, pixels = restorer("unet"), stored((60, 50, 3), np.uint8)
    expected = network.restore_stored(pixels, noise_level(pixels))
    cut_into(16)
    np.testing.assert_allclose(network.restore_stored(pixels).astype(int), expected.astype(int), atol=1)


def test_not_a_number_from_the_network_is_an_error():
    network = restorer("unet")
    with torch.no_grad():
        network.network.tail.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="not-a-number"):
        network.restore_stored(stored((8, 8, 3), np.uint8), 0.1)


@every_generator
@every_type
def test_pixels_without_noise_stay_as_they_are(name, dtype):
    """Bars of one colour each, in which no noise is found; and any image, where nobody sees noise."""
    network = restorer(name)
    bars = np.repeat(np.eye(3), 22, axis=0)[None].repeat(64, axis=0)
    bars = from_float(bars.astype(np.float32), np.dtype(dtype))
    assert noise_level(bars) < 1e-8
    np.testing.assert_array_equal(network.restore_stored(bars), bars)
    (restored,) = network.restore_all([to_float(bars)])
    np.testing.assert_array_equal(restored, to_float(bars))
    pixels = stored((20, 30, 3), dtype)
    np.testing.assert_array_equal(network.restore_stored(pixels, 0.0), pixels)


def test_grey_pixels_need_no_third_axis():
    network, pixels = restorer("unet"), stored((20, 30), np.uint8)
    np.testing.assert_array_equal(
        network.restore_stored(pixels, 0.1), network.restore_stored(pixels[:, :, None], 0.1)[:, :, 0]
    )


def test_released_generators_restore_images_together_as_each_alone():
    network, colour = Released(0.0, CPU), stored((40, 48, 3), np.float32)
    images = [
        stored((40, 48, 1), np.float32),
        colour,
        stored((40, 45, 3), np.float32),
        colour[:, :, [0, 0, 0]],
    ]
    for image, restored in zip(images, network.restore_all(images, 0.1), strict=True):
        assert restored.shape == image.shape
        np.testing.assert_allclose(restored.clip(0, 1), network.restore_stored(image, 0.1), atol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "sigma", "said"),
    [
        (np.zeros((8, 8, 4), np.uint8), None, r"shape \(8, 8, 4\); expected .* no transparency"),
        (np.zeros((8, 0, 3), np.uint8), None, r"shape \(8, 0, 3\)"),
        (np.zeros(8, np.uint8), None, r"shape \(8,\)"),
        (np.zeros((8, 8, 3), np.int32), None, "type int32; expected uint8, uint16 or floats"),
        (np.full((8, 8, 3), 255.0), None, "floats from 255 to 255; expected black at 0 and white at 1"),
        (np.full((8, 8, 3), np.nan), None, "floats from nan"),
        (np.zeros((8, 8, 3), np.uint8), 25, "sigma = 25; expected a number from 0 to 1"),
        (np.zeros((8, 8, 3), np.uint8), -0.1, "sigma = -0.1"),
        (np.zeros((8, 8, 3), np.uint8), math.nan, "sigma = nan"),
    ],
)
@pytest.mark.parametrize("kind", ["restorer", "released"])
def test_what_cannot_be_restored_is_refused(kind, pixels, sigma, said):
    network = Released(0.0, CPU) if kind == "released" else restorer("unet")
    with pytest.raises(DegrainError, match=said):
        network.restore_stored(pixels, sigma)


@pytest.mark.parametrize("kind", ["restorer", "released"])
def test_images_together_are_refused_as_each_alone(kind):
    network = Released(0.0, CPU) if kind == "released" else restorer("unet")
    images = [stored((8, 8, 3), np.float32), np.full((8, 8, 3), 255.0, np.float32)]
    with pytest.raises(DegrainError, match="floats from 255"):
        network.restore_all(images, 0.1)
    for sigma in (25, -0.1, math.nan):
        with pytest.raises(DegrainError, match="expected a number from 0 to 1"):
            network.restore_all(images[:1], sigma)


def test_images_without_noise_are_copies():
    images = [stored((8, 8, 3), np.float32)]
    (restored,) = restorer("unet").restore_all(images, 0.0)
    np.testing.assert_array_equal(restored, images[0])
    assert not np.shares_memory(restored, images[0])


@pytest.mark.parametrize("out", [np.zeros((30, 20, 3), np.uint8), np.zeros((20, 30, 3), np.uint16)])
def test_the_place_for_the_result_must_fit(out):
    with pytest.raises(DegrainError, match=r"out of shape .* expected \(20, 30, 3\), uint8"):
        restorer("unet").restore_stored(stored((20, 30, 3), np.uint8), 0.1, out=out)


def test_pixels_may_be_in_the_other_byte_order():
    network, pixels = restorer("unet"), stored((20, 30, 3), np.uint16)
    swapped = network.restore_stored(pixels.astype(pixels.dtype.newbyteorder("S")), 0.1)
    np.testing.assert_array_equal(swapped, network.restore_stored(pixels, 0.1))


def test_strong_noise_that_nothing_has_clipped_is_taken():
    noisy = np.float32(RNG.normal(0.5, 1.0, (40, 40, 3)))
    assert restorer("unet").restore_stored(noisy, 1.0).dtype == np.float32


def test_a_large_image_takes_little_more_memory_than_its_result(cut_into):
    """NumPy's allocations are counted; tiles are small here so that the network's hardly matter."""
    cut_into(128)
    network = Restorer(Dncnn(3, depth=2, width=2), 3, CPU)
    pixels = np.zeros((3000, 3000, 3), np.uint8)
    pixels[0, 0, 0] = 1  # otherwise it would be grey
    tracemalloc.start()
    network.restore_stored(pixels, 0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * pixels.nbytes


def test_tiles_are_alike_in_size():
    for length in (577, 1000, 10_000):
        kept = [place[0] for _, _, place in tiles(length, 1, overlap_px=8)]
        sides = [span.stop - span.start for span in kept]
        assert max(sides) - min(sides) <= len(sides)


@pytest.mark.parametrize("end", ["faithful", "realistic"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_trained_network_shows_no_seams(monkeypatch, end, channels):
    network = Restorer.load(released_path(end, channels), CPU)
    strip = (coffee()[100:164, :480, :channels] / 255).astype(np.float32)
    noisy = (strip + np.random.default_rng(0).normal(0, 0.2, strip.shape)).astype(np.float32)
    whole = network(noisy, 0.2)
    monkeypatch.setattr("degrain.tiles.TILE_PX", 120)
    assert network.overlap_px < 120  # each of the four tiles sees less than the whole
    np.testing.assert_allclose(network(noisy, 0.2), whole, atol=1e-5)


# --- several images ---


@every_generator
@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("sigma", [None, 0.1])
def test_images_together_are_restored_as_each_alone(name, ensemble, sigma):
    network = restorer(name, ensemble=ensemble)
    sizes = [(9, 12), (11, 10), (1, 1), (9, 12), (40, 8), (12, 12), (2, 3)]
    images = [RNG.random((*size, c), dtype=np.float32) for size in sizes for c in (1, 3)]
    together = network.restore_all(images, sigma)
    assert len(together) == len(images)
    for image, found in zip(images, together, strict=True):
        np.testing.assert_allclose(found, network(image, sigma), atol=1e-5)


def test_small_images_of_like_size_go_through_the_network_together(monkeypatch):
    network = restorer("unet")
    sizes = []
    network.network.register_forward_hook(lambda _, given, __: sizes.append(tuple(given[0].shape)))
    monkeypatch.setattr(restore, "BATCH_PX", 4 * 12 * 12)
    small = [RNG.random((*size, 3), dtype=np.float32) for size in [(12, 12), (9, 11), (10, 12)] * 2]
    network.restore_all([*small, RNG.random((40, 40, 3), dtype=np.float32)], 0.1)
    assert sizes == [(4, 3, 12, 12), (2, 3, 12, 12), (1, 3, 40, 40)]
    assert network.restore_all([]) == []


# --- the self-ensemble ---


@every_generator
@pytest.mark.parametrize("size", [(1, 1), (14, 23), (37, 51)])
@pytest.mark.parametrize("tile", [16, 768])
def test_the_ensemble_commutes_with_the_eight_symmetries(cut_into, name, size, tile):
    """In tiles, too, and where the stride does not divide the sides."""
    cut_into(tile)
    network, plain = restorer(name, ensemble=True), restorer(name)
    noisy = RNG.random((*size, 3), dtype=np.float32)
    restored, alone = network(noisy, 0.1), plain(noisy, 0.1)
    for turn in TURNS:
        np.testing.assert_allclose(network(turn.apply(noisy), 0.1), turn.apply(restored), atol=1e-5)
    if size != (1, 1):
        differences = [np.abs(plain(turn.apply(noisy), 0.1) - turn.apply(alone)).max() for turn in TURNS]
        assert max(differences) > 1e-3  # without it, they do not


@every_generator
@odd_sizes
def test_the_ensemble_is_the_mean_over_the_symmetries_also_in_tiles(cut_into, name, size):
    plain, noisy = restorer(name), RNG.random((*size, 3), dtype=np.float32)
    versions = [turn.undo(plain(turn.apply(noisy), 0.1)) for turn in TURNS]
    cut_into(16)
    np.testing.assert_allclose(
        restorer(name, ensemble=True)(noisy, 0.1), np.mean(versions, axis=0), atol=1e-5
    )


@pytest.mark.parametrize("stochastic", [False, True])
def test_an_equivariant_network_restores_all_symmetries_alike_so_once_is_enough(stochastic):
    network = Unet(1, widths=[8, 8], blocks=[1, 1], stem_stride=2, equivariant=True)
    make_equivariant(trained_like(network))
    if stochastic:
        network = made_stochastic(network)
    passed = []
    network.register_forward_hook(lambda _, given, __: passed.append(given[0].shape))
    noisy = RNG.random((16, 24, 1), dtype=np.float32)
    together = Restorer(network, 1, CPU, ensemble=True)(noisy, 0.1)
    assert len(passed) == (8 if stochastic else 1)  # each turn of z is another sample
    if not stochastic:
        alone = Restorer(network, 1, CPU)
        versions = [turn.undo(alone(turn.apply(noisy), 0.1)) for turn in TURNS]
        np.testing.assert_allclose(together, np.mean(versions, axis=0), atol=1e-5)


def test_the_eight_symmetries_differ_and_are_undone():
    image = RNG.random((3, 5, 2))
    assert len({turn.apply(image).tobytes() for turn in TURNS}) == 8
    for turn in TURNS:
        np.testing.assert_array_equal(turn.undo(turn.apply(image)), image)
    np.testing.assert_array_equal(TURNS[0].apply(image), image)


# --- the noise level of large images ---


@pytest.mark.parametrize("size", [(2300, 2300), (40, 110_000), (110_000, 257)])
def test_a_large_image_is_judged_by_a_part_and_alike(size):
    noisy = RNG.normal(120, 10, (*size, 1)).clip(0, 255).astype(np.uint8)
    assert noise_level(noisy) == pytest.approx(10 / 255, rel=0.03)
    assert noise_level(noisy) == noise_level(noisy.copy())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_level_is_that_of_the_float_image(dtype):
    pixels = stored((50, 60, 3), dtype)
    assert noise_level(pixels) == noise_level(to_float(pixels))

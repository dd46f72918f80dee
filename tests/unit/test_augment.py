"""Augmentation: the group of the square, and colours that stay a photograph's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from degrain.data.augment import jitter_colours, turn
from degrain.seeding import seeded_generator

RNG = np.random.default_rng(0)


def test_the_8_symmetries_differ_and_form_the_group_of_the_square():
    square = RNG.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    turned = [turn(square, symmetry) for symmetry in range(8)]
    np.testing.assert_array_equal(turned[0], square)
    pictures = {image.tobytes(): symmetry for symmetry, image in enumerate(turned)}
    assert len(pictures) == 8
    table = [[pictures[turn(image, second).tobytes()] for second in range(8)] for image in turned]
    every = list(range(8))
    assert all(sorted(row) == every for row in table)
    assert all(sorted(column) == every for column in zip(*table, strict=True))
    orders = sorted(next(n for n in every[1:] if power(table, s, n) == 0) for s in every)
    assert orders == [1, 2, 2, 2, 2, 2, 4, 4]


def power(table, symmetry, exponent):
    result = 0
    for _ in range(exponent):
        result = table[result][symmetry]
    return result


def images(channels, low=0.3, high=0.6):
    return low + (high - low) * torch.rand((16, channels, 9, 7), generator=seeded_generator("images"))


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_gives_an_image_one_contrast_and_each_channel_its_brightness(channels):
    before = images(channels)  # so far from black and white that nothing is clipped
    after = jitter_colours(before, 0.4, generator=seeded_generator("jitter"))
    x, y = (values.flatten(2).double() for values in (before, after))
    x, y = x - x.mean(2, keepdim=True), y - y.mean(2, keepdim=True)
    slopes = (x * y).sum(2) / (x * x).sum(2)
    torch.testing.assert_close(y, slopes[..., None] * x, rtol=0, atol=1e-6)
    assert 0.6 - 1e-6 <= slopes.min() < 0.8
    assert 1.2 < slopes.max() <= 1.4 + 1e-6
    torch.testing.assert_close(slopes, slopes[:, :1].expand_as(slopes), rtol=1e-5, atol=0)
    assert slopes[:, 0].std() > 0.1
    brightness = (after - 0.5 - slopes[..., None, None] * (before - 0.5)).mean((2, 3))
    assert brightness.abs().max() <= 0.2 + 1e-6
    assert brightness.std(0).min() > 0.05
    assert channels == 1 or brightness.std(1).min() > 0.001


def test_jitter_stays_in_range_and_clips():
    after = jitter_colours(images(3, 0, 1), 1.0, generator=seeded_generator("jitter"))
    assert after.min() == 0
    assert after.max() == 1


def test_jitter_of_no_strength_is_none():
    assert torch.equal(jitter_colours(images(3), 0.0, generator=seeded_generator("jitter")), images(3))


def test_jitter_depends_on_the_generator_alone():
    one, same, other = (jitter_colours(images(3), 0.4, generator=seeded_generator(s)) for s in "aab")
    assert torch.equal(one, same)
    assert not torch.equal(one, other)

"""What the discriminator is shown: alike on both sides, undone by nothing, drawn anew every step."""

from __future__ import annotations

import math

import pytest
import torch

from degrain.training.disguise import (
    BRIGHTNESS,
    CONTRAST,
    SATURATION,
    Shown,
    augmented,
    moved,
    places,
    random_colours,
    recoloured,
    with_instance_noise,
)


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def scenes(batch=4, channels=3, side=8):
    return torch.rand(batch, channels, side, side, generator=draws(9), dtype=torch.float64)


def test_nothing_happens_at_probability_0():
    image = scenes()
    for shown in augmented(Shown(image, image, image), 0.0, generator=draws()):
        torch.testing.assert_close(shown, image)


def test_both_sides_and_the_noisy_image_are_changed_alike():
    image = scenes(batch=16)
    clean, restored, noisy = augmented(Shown(image, image.clone(), image.clone()), 0.8, generator=draws())
    assert torch.equal(clean, restored)
    assert torch.equal(clean, noisy)
    assert not torch.allclose(clean, image)
    again, *_ = augmented(Shown(image, image, image), 0.8, generator=draws())
    assert torch.equal(again, clean)
    other, *_ = augmented(Shown(image, image, image), 0.8, generator=draws(1))
    assert not torch.allclose(other, clean)


def test_places_are_turns_and_mirrors_of_the_square_with_shifts_mirrored_in():
    """Each result is found among all that the three can give, made by other functions."""
    side, image = 16, scenes(batch=60, channels=1, side=16)
    rows, columns = places(60, side, 1.0, generator=draws())
    seen, found = moved(image, rows, columns), set()
    wide = torch.nn.functional.pad(image, (2, 2, 2, 2), mode="constant", value=math.nan)
    inner = (slice(None), slice(2, -2), slice(2, -2))
    for index, result in enumerate(seen):
        for turns in range(4):
            for mirror in (False, True):
                for down in range(-2, 3):
                    for right in range(-2, 3):
                        source = wide[index].flip(2) if mirror else wide[index]
                        candidate = source.rot90(turns, (1, 2)).roll((-down, -right), (1, 2))[inner]
                        if torch.equal(candidate[:, 2:-2, 2:-2], result[:, 2:-2, 2:-2]):
                            found.add((index, turns, mirror, down, right))
    assert {index for index, *_ in found} == set(range(60))
    assert {turns for _, turns, *_ in found} == {0, 1, 2, 3}
    assert {mirror for *_, mirror, _, _ in found} == {False, True}
    assert {shift for *_, down, right in found for shift in (down, right)} == {-2, -1, 0, 1, 2}
    assert rows.min() >= 0
    assert columns.max() < side


@pytest.mark.parametrize("probability", [0.2, 0.6])
def test_each_change_happens_as_often_as_the_probability_says(probability):
    brightness, contrast, saturation = random_colours(20_000, probability, generator=draws())
    for values, still, spread in (
        (brightness, 0.0, BRIGHTNESS),
        (contrast.log(), 0.0, CONTRAST),
        (saturation.log(), 0.0, SATURATION),
    ):
        changed = values[values != still]
        assert len(changed) / 20_000 == pytest.approx(probability, abs=0.02)
        assert changed.std().item() == pytest.approx(spread, rel=0.05)
    rows, columns = places(2000, 8, probability, generator=draws())
    grid = torch.arange(8).expand(8, 8)
    still = ((rows == grid.T) & (columns == grid)).all(dim=(1, 2)).float().mean().item()
    # It stays where it is if it is not mirrored, turned or shifted, or mirrored and so on by nothing;
    # a shift of a unit or less each way rounds to none with probability 1/4.
    expected = (1 - probability / 2) * (1 - probability * 3 / 4) * (1 - probability * 3 / 4)
    assert still == pytest.approx(expected, abs=0.04)


def test_colours_by_hand():
    image = scenes(batch=1, channels=3, side=2)
    changed = recoloured(image, torch.tensor([0.1, 2.0, 0.5], dtype=torch.float64).view(3, 1, 1, 1, 1))
    for y in range(2):
        for x in range(2):
            bright = [(float(value) - 0.5 + 0.1) * 2 for value in image[0, :, y, x]]
            grey = sum(bright) / 3
            expected = [grey + (value - grey) * 0.5 + 0.5 for value in bright]
            assert changed[0, :, y, x].tolist() == pytest.approx(expected)


def test_gradients_come_through_to_where_the_pixels_were():
    image = scenes(batch=2, channels=3, side=4).requires_grad_()
    weights = torch.randn(2, 3, 4, 4, generator=draws(3), dtype=torch.float64)

    def shown(restored):
        return (
            augmented(Shown(restored, restored, restored), 0.8, generator=draws(2)).restored * weights
        ).sum()

    assert torch.autograd.gradcheck(shown, image)


def test_instance_noise_has_its_sigma_on_both_sides_and_leaves_the_noisy_image():
    image = torch.full((8, 3, 32, 32), 0.5)
    shown = with_instance_noise(Shown(image, image, image), 0.1, generator=draws())
    for side in shown[:2]:
        assert (side - image).std().item() == pytest.approx(0.1, rel=0.03)
        assert (side - image).mean().abs().item() < 0.003
    correlation = ((shown.clean - image) * (shown.restored - image)).mean().item()
    assert abs(correlation) < 0.001  # the same noise on both sides would hide nothing
    assert torch.equal(shown.noisy, image)

"""Losses against their formulae, and the directions they push in."""

from __future__ import annotations

import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from degrain.build.adversarial_losses import ADVERSARIAL
from degrain.build.pixel_losses import PIXEL
from degrain.losses.features import feature_matching


def mean(values):
    values = list(values)
    return sum(values) / len(values)


# Of all differences of one image.
FORMULAE = {
    "l1": lambda all_d: mean(abs(d) for d in all_d),
    "mse": lambda all_d: mean(d * d for d in all_d),
    "charbonnier": lambda all_d: mean(math.sqrt(d * d + 1e-6) for d in all_d),
    "log-mse": lambda all_d: math.log(mean(d * d for d in all_d) + 1e-5),
}


@pytest.mark.parametrize("name", PIXEL)
def test_pixel_loss_follows_its_formula(name) -> None:
    clean, restored = torch.rand(3, 2, 4, 5, dtype=torch.float64), torch.rand(3, 2, 4, 5, dtype=torch.float64)
    differences = (restored - clean).flatten(1).tolist()
    expected = [FORMULAE[name](row) for row in differences]
    torch.testing.assert_close(PIXEL[name](restored, clean), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("name", PIXEL)
def test_pixel_loss_has_the_right_gradient(name) -> None:
    clean = torch.rand(2, 1, 3, 3, dtype=torch.float64)
    restored = (clean + 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: PIXEL[name](x, clean), restored)


def test_log_mse_is_the_psnr_but_for_its_unit() -> None:
    clean = torch.rand(2, 1, 16, 16, dtype=torch.float64)
    restored = clean + torch.tensor([0.05, 0.2], dtype=torch.float64).view(2, 1, 1, 1) * torch.randn_like(
        clean
    )
    losses = PIXEL["log-mse"](restored, clean)
    for loss, one, other in zip(losses.tolist(), clean.numpy(), restored.numpy(), strict=True):
        expected = peak_signal_noise_ratio(one, other, data_range=1.0)
        assert -10 / math.log(10) * loss == pytest.approx(expected, abs=0.05)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def by_hand(name, real, fake, mean_real, mean_fake):
    """Value of (generator, discriminator) losses at single logits, from the formulae of the papers."""
    log = math.log
    real_wins = sigmoid(real - fake)
    real_over, fake_over = sigmoid(real - mean_fake), sigmoid(fake - mean_real)
    classic = -log(sigmoid(real)) - log(1 - sigmoid(fake))
    return {
        "minimax": (log(1 - sigmoid(fake)), classic),
        "non-saturating": (-log(sigmoid(fake)), classic),
        "lsgan": ((fake - 1) ** 2 / 2, ((real - 1) ** 2 + fake**2) / 2),
        "hinge": (-fake, max(0, 1 - real) + max(0, 1 + fake)),
        "wasserstein": (-fake, fake - real),
        "relativistic-average": (
            -log(fake_over) - log(1 - real_over),
            -log(real_over) - log(1 - fake_over),
        ),
        "relativistic-pairing": (-log(1 - real_wins), -log(real_wins)),
    }[name]


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_loss_follows_its_formula(name) -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = (3 * torch.randn(2, 1, 2, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    means = [sum(logits.flatten().tolist()) / 12 for logits in (real, fake)]
    for player, loss in enumerate(ADVERSARIAL[name][:2]):
        expected = [
            sum(by_hand(name, r, f, *means)[player] for r, f in zip(*rows, strict=True)) / 6
            for rows in zip(real.flatten(1).tolist(), fake.flatten(1).tolist(), strict=True)
        ]
        torch.testing.assert_close(loss(real, fake), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_loss_is_relative_if_it_does_not_see_what_both_logits_share(name) -> None:
    real, fake = torch.randn(2, 3, 1, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    pair = ADVERSARIAL[name]
    shifted = torch.allclose(pair.discriminator(real, fake), pair.discriminator(real + 2, fake + 2))
    assert shifted == (pair.threshold is None)


def test_only_minimax_gives_up_where_the_discriminator_is_sure() -> None:
    """Its gradient fades as the fake logit falls, which is why the non-saturating loss exists."""
    fake = torch.tensor([[-20.0]], requires_grad=True)
    for name, pair in ADVERSARIAL.items():
        gradient = torch.autograd.grad(pair.generator(torch.zeros(1, 1), fake).sum(), fake)[0]
        assert (gradient.abs().item() < 1e-6) == (name == "minimax"), name


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_players_pull_the_fake_logits_apart(name) -> None:
    real, fake = torch.tensor([[0.5]]), torch.tensor([[0.1]], requires_grad=True)
    pair = ADVERSARIAL[name]
    generator = torch.autograd.grad(pair.generator(real, fake).sum(), fake)[0]
    discriminator = torch.autograd.grad(pair.discriminator(real, fake).sum(), fake)[0]
    assert generator < 0 < discriminator


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_extreme_logits_stay_finite(name) -> None:
    pair = ADVERSARIAL[name]
    for logits in (torch.full((1, 4), 1e4), torch.full((1, 4), -1e4)):
        assert torch.isfinite(pair.generator(logits, -logits)).all()
        assert torch.isfinite(pair.discriminator(logits, -logits)).all()


def test_feature_matching_averages_layers_not_values() -> None:
    restored = [torch.ones(2, 3, 4, 4), torch.zeros(2, 1, 2, 2)]
    clean = [torch.zeros(2, 3, 4, 4), torch.full((2, 1, 2, 2), 3.0)]
    torch.testing.assert_close(feature_matching(restored, clean), torch.tensor([2.0, 2.0]))


def test_feature_matching_of_unequal_lists_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        feature_matching([torch.ones(1, 1), torch.ones(1, 1)], [torch.ones(1, 1)])


def test_losses_are_one_value_a_sample() -> None:
    restored, clean = torch.rand(4, 3, 5, 5), torch.rand(4, 3, 5, 5)
    for loss in PIXEL.values():
        alone = torch.cat([loss(restored[i : i + 1], clean[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(loss(restored, clean), alone)

"""Penalties against closed forms, and that they can be differentiated twice as they are used."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from degrain.losses.penalties import gradient_penalty, historical_averaging, lecam, squared_gradient
from degrain.models.discriminators import PatchDiscriminator, UnetDiscriminator
from degrain.models.layers import with_batch_deviation
from degrain.training.disguise import Shown
from degrain.training.stabilisers import Stabilisers
from degrain.training.state import Memory


def images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def total(x):
    """(B, ...) to one logit an image, (B, 1)."""
    return x.flatten(1).sum(1, keepdim=True)


def test_squared_gradient_of_a_linear_score_is_its_squared_slope():
    slope = images(1, 3, 4, 5, seed=1)
    squared = squared_gradient(lambda x: total(x * slope), images(2, 3, 4, 5))
    torch.testing.assert_close(squared, slope.square().sum().expand(2))


def test_squared_gradient_of_a_quadratic_score_is_that_of_each_image():
    seen = images(3, 1, 2, 2)
    squared = squared_gradient(lambda x: total(x.square()), seen)
    torch.testing.assert_close(squared, 4 * seen.square().sum(dim=(1, 2, 3)))


def test_an_images_score_is_the_mean_of_its_logits():
    """So one logit and the same logit at every pixel are punished alike."""
    one = squared_gradient(total, images(2, 1, 4, 4))
    many = squared_gradient(lambda x: total(x).view(-1, 1, 1, 1).expand(-1, 1, 8, 8), images(2, 1, 4, 4))
    torch.testing.assert_close(one, many)


@pytest.mark.parametrize("norm", [0.0, 0.5, 1.0, 3.0])
def test_gradient_penalty_of_a_linear_score_is_its_distance_from_slope_1(norm):
    slope = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    slope[0, 0, 1, 2] = norm
    weight = slope.clone().requires_grad_()
    real, fake = images(2, 1, 4, 4), images(2, 1, 4, 4, seed=1)
    penalty = gradient_penalty(lambda x: total(x * weight), real, fake, images(2))
    torch.testing.assert_close(penalty, torch.full((2,), (norm - 1) ** 2, dtype=torch.float64))
    penalty.sum().backward()
    assert weight.grad.isfinite().all()


def test_gradient_penalty_looks_between_real_and_fake():
    seen = []

    def score(x):
        seen.append(x.detach())
        return total(x)

    real, fake = torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2)
    gradient_penalty(score, real, fake, torch.tensor([0.0, 0.25, 1.0]))
    assert seen[0][:, 0, 0, 0].tolist() == [0.0, 0.25, 1.0]


@pytest.mark.parametrize("penalty", ["squared_gradient", "gradient_penalty"])
def test_penalties_have_the_right_gradient_by_the_weights(penalty):
    real, fake, share = images(2, 1, 3, 3), images(2, 1, 3, 3, seed=1), images(2, seed=3)

    def of_weights(weight):
        def score(x):
            return torch.tanh(torch.nn.functional.conv2d(x, weight))

        if penalty == "squared_gradient":
            return squared_gradient(score, real)
        return gradient_penalty(score, real, fake, share)

    assert torch.autograd.gradcheck(of_weights, images(2, 1, 2, 2, seed=2).requires_grad_())


def test_lecam_by_hand():
    real, fake = torch.tensor([[1.0, 3.0]]), torch.tensor([[-1.0, 0.5]])
    expected = ((1 + 0.5) ** 2 + (3 + 0.5) ** 2) / 2 + ((-1 - 2) ** 2 + (0.5 - 2) ** 2) / 2
    assert lecam(real, fake, usual_real=2.0, usual_fake=-0.5).tolist() == pytest.approx([expected])


def test_historical_averaging_is_the_squared_distance():
    weights, average = torch.tensor([1.0, 2.0, -1.0]), torch.tensor([0.0, 2.0, 1.0])
    assert historical_averaging(weights, average).item() == pytest.approx(1 + 0 + 4)


def test_batch_deviation_is_one_number_more_at_every_place():
    features = images(4, 3, 5, 6)
    stacked = with_batch_deviation(features)
    assert stacked.shape == (4, 4, 5, 6)
    assert torch.equal(stacked[:, :3], features)
    deviations = [
        math.sqrt(sum((v - sum(column) / 4) ** 2 for v in column) / 4)
        for column in features.flatten(1).T.tolist()
    ]
    expected = sum(deviations) / len(deviations)
    torch.testing.assert_close(
        stacked[:, 3], torch.full((4, 5, 6), expected, dtype=torch.float64), rtol=1e-5, atol=0
    )
    assert with_batch_deviation(features[:1].expand(4, -1, -1, -1))[:, 3].max() < 1e-3


@pytest.mark.parametrize("make", [UnetDiscriminator, PatchDiscriminator])
def test_penalties_stay_in_float32_and_reach_spectrally_normalised_weights(make_params, make):
    weights = {"r1": {"weight": 2.0, "every": 1}, "r2": {"weight": 1.0}, "gradient_penalty": {"weight": 1.0}}
    stabilisers = Stabilisers(make_params({"train": {"stabilisers": weights}}).train, threshold=0.0, seed=0)
    torch.manual_seed(0)
    network = make(1, width=4, spectral_norm=True, minibatch_std=True)

    def score(seen):
        return network(seen).logits

    shown = Shown(*(images(2, 1, 32, 32, seed=seed).float() for seed in range(3)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert score(shown.clean).dtype == torch.bfloat16
    network.eval()  # the norm's estimate, which moves at every pass, stays where it is
    state = SimpleNamespace(step=0, memory=Memory())
    terms = stabilisers.discriminator_terms(state, score, shown, *(score(x) for x in shown[:2]))
    assert terms.keys() == {"r1", "r2", "gradient_penalty"}
    assert all(term.dtype == torch.float32 for term in terms.values())
    torch.testing.assert_close(terms["r1"], squared_gradient(score, shown.clean).mean())
    torch.stack(list(terms.values())).sum().backward()
    gradients = [weight.grad for weight in network.parameters() if weight.ndim > 1]
    assert all(gradient.isfinite().all() and gradient.abs().sum() > 0 for gradient in gradients)

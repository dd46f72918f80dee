"""The losses of a discriminator that is a classifier are those of the paper, and so are their gradients."""

from __future__ import annotations

import pytest
import torch

from degrain.losses.semi_supervised import (
    labelled_loss,
    mean_feature_matching,
    real_logits,
    unlabelled_loss,
)

K = 5


def drawn(*shape, seed=0, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def as_in_the_paper(logits, generated):
    """Section 5, with all K + 1 logits: p(y | x) is their softmax, the last of the generated class."""
    return logits.softmax(1), generated.softmax(1)


def all_logits(logits):
    """The K of ours, and 0."""
    return torch.cat([logits, torch.zeros_like(logits[:, :1])], dim=1)


def test_probability_of_real_is_z_over_z_plus_one():
    logits = drawn(7, K)
    z = logits.exp().sum(1)
    assert torch.allclose(real_logits(logits).sigmoid().flatten(), z / (z + 1))
    assert torch.allclose(1 - z / (z + 1), all_logits(logits).softmax(1)[:, -1])


def test_losses_are_those_of_the_paper():
    real, generated = drawn(7, K), drawn(7, K, seed=1)
    labels = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    p_real, p_generated = as_in_the_paper(all_logits(real), all_logits(generated))
    # L_supervised = -log p(y | x, y < K + 1); L_unsupervised = -log(1 - p(K + 1 | x)) - log p(K + 1 | G(z)).
    conditioned = p_real[torch.arange(7), labels] / (1 - p_real[:, -1])
    assert torch.allclose(labelled_loss(real, labels), -conditioned.log())
    unsupervised = -(1 - p_real[:, -1]).log() - p_generated[:, -1].log()
    assert torch.allclose(unlabelled_loss(real, generated), unsupervised)


def test_k_logits_say_as_much_as_k_plus_one():
    """Subtracting a function of the image from all logits changes no probability, so the last may be 0."""
    logits = drawn(7, K + 1)
    ours = logits[:, :-1] - logits[:, -1:]
    assert torch.allclose(all_logits(ours).softmax(1), logits.softmax(1))
    assert torch.allclose(real_logits(ours).sigmoid().flatten(), 1 - logits.softmax(1)[:, -1])


@pytest.mark.parametrize("side", [0, 1])
def test_gradients_are_those_of_finite_differences(side):
    sides = [drawn(3, K).requires_grad_(side == 0), drawn(3, K, seed=1).requires_grad_(side == 1)]
    assert torch.autograd.gradcheck(unlabelled_loss, sides)
    labels = torch.tensor([0, 4, 2])
    assert torch.autograd.gradcheck(lambda logits: labelled_loss(logits, labels), [sides[0].requires_grad_()])
    assert torch.autograd.gradcheck(mean_feature_matching, sides)


def test_gradients_by_hand():
    """-(1 - D) p(class) for real images, D p(class) for generated ones: each class is pulled by its share."""
    real, generated = drawn(3, K).requires_grad_(), drawn(3, K, seed=1).requires_grad_()
    unlabelled_loss(real, generated).sum().backward()
    for logits, factor in ((real, lambda d: d - 1), (generated, lambda d: d)):
        d = real_logits(logits.detach()).sigmoid()
        assert torch.allclose(logits.grad, factor(d) * logits.detach().softmax(1))
    made, wanted = drawn(4, 6).requires_grad_(), drawn(9, 6, seed=1)
    mean_feature_matching(made, wanted).backward()
    assert torch.allclose(made.grad, (2 / 4 * (made.detach().mean(0) - wanted.mean(0))).expand(4, 6))


def test_losses_of_sure_classifiers_are_finite_and_still_pull():
    sure = torch.tensor([[300.0, 0.0], [-300.0, -300.0]]).requires_grad_()
    for sides in ((sure, torch.zeros(2, 2)), (torch.zeros(2, 2), sure)):
        losses = unlabelled_loss(*sides)
        assert losses.isfinite().all()
        (gradient,) = torch.autograd.grad(losses.sum(), sure)
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 0.4  # where it is wrong


def test_feature_matching_sees_the_means_alone():
    made = drawn(8, 6)
    spread = made.mean(0) + 3 * (made - made.mean(0))
    assert mean_feature_matching(spread[torch.randperm(8)], made).item() == pytest.approx(0, abs=1e-20)
    assert mean_feature_matching(made + 2, made).item() == pytest.approx(6 * 4)

"""Muon: orthogonal updates of hidden convolutions, Adam for the rest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from degrain.training.muon import RMS, Muon, orthogonalise


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3),
        nn.Conv2d(6, 8, 3),
        nn.BatchNorm2d(8),
        nn.ConvTranspose2d(8, 4, 2),
        nn.Conv2d(4, 1, 3),
    )


def stepped(network, lr=0.01, gradients=None, steps=1, weight_decay=0.0, dtype=torch.float32):
    """The change of every weight."""
    optimizer = Muon(network, lr, weight_decay=weight_decay, dtype=dtype)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    for step in range(steps):
        for name, weight in network.named_parameters():
            weight.grad = gradients(name, weight, step)
        optimizer.step()
    return {name: weight.detach() - before[name] for name, weight in network.named_parameters()}


def noise(name, weight, step):
    return torch.randn(weight.shape, generator=torch.Generator().manual_seed(step + 1))


@pytest.mark.parametrize("shape", [(3, 5, 40), (2, 40, 5), (1, 16, 16)])
def test_singular_vectors_stay_and_singular_values_come_near_one(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    inside = left.mT @ orthogonalise(matrices) @ right.mT
    values = torch.diagonal(inside, dim1=1, dim2=2)
    assert values.min() > 0.3
    assert values.max() < 1.25
    torch.testing.assert_close(inside, torch.diag_embed(values), atol=1e-4, rtol=0)


def test_a_gradient_of_nothing_changes_nothing():
    changes = stepped(small_network(), gradients=lambda name, weight, step: torch.zeros_like(weight))
    assert all(not change.any() for change in changes.values())


def test_hidden_convolutions_move_as_far_whatever_the_scale_of_their_gradient():
    small, large = (
        stepped(small_network(), gradients=lambda *given, scale=scale: scale * noise(*given))
        for scale in (1e-4, 1e4)
    )
    for name in ("1.weight", "3.weight"):
        torch.testing.assert_close(small[name], large[name], atol=1e-6, rtol=1e-3)
        rms = float(large[name].square().mean().sqrt()) / 0.01
        assert RMS * 0.5 < rms < RMS * 1.25


def test_first_and_last_layer_biases_and_norms_move_as_adam_moves_them():
    network, reference = small_network(), small_network()
    adam = torch.optim.Adam(reference.parameters(), lr=0.01, betas=(0.9, 0.99))
    changes = stepped(network, gradients=noise, steps=3)
    before = {name: weight.detach().clone() for name, weight in reference.named_parameters()}
    for step in range(3):
        for name, weight in reference.named_parameters():
            weight.grad = noise(name, weight, step)
        adam.step()
    for name, weight in reference.named_parameters():
        alike = torch.allclose(changes[name], weight.detach() - before[name], atol=1e-6)
        assert alike == (name not in {"1.weight", "3.weight"}), name


def test_weight_decay_shrinks_every_weight():
    network = small_network()
    before = [weight.detach().clone() for weight in network.parameters()]
    stepped(network, lr=0.1, weight_decay=0.5, gradients=lambda name, weight, step: torch.zeros_like(weight))
    for weight, was in zip(network.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), was * 0.95)


def test_weights_without_a_gradient_stay():
    network = small_network()
    given = lambda name, weight, step: None if name.startswith("1") else noise(name, weight, step)  # noqa: E731
    changes = stepped(network, gradients=given, weight_decay=0.1)
    assert not changes["1.weight"].any()
    assert changes["3.weight"].any()

"""A network whose weights are shared among the eight symmetries of a square: laws, and how long they hold."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from degrain.models.symmetry import keep_equivariant, make_equivariant
from degrain.models.unet import Unet, made_stochastic
from degrain.training.muon import Muon
from degrain.turns import TURNS, Turn

SIGMA = torch.tensor([0.1, 0.3])
SIZES = [
    {"widths": [16, 24, 8], "blocks": [1, 1, 2]},
    {"widths": [16, 24], "blocks": [1, 2], "stem_stride": 2},
    {"widths": [8], "blocks": [1], "stem_stride": 3},
]


def unet(sizes, channels=1, *, equivariant=True) -> Unet:
    torch.manual_seed(0)
    network = Unet(channels, **sizes, equivariant=equivariant)
    with torch.no_grad():
        for weight in network.parameters():
            torch.nn.init.orthogonal_(weight)
    if equivariant:
        make_equivariant(network)
    return network


def turned(turn: Turn, images: Tensor) -> Tensor:
    """(B, C, H, W)"""
    arrays = [turn.apply(image.permute(1, 2, 0).numpy()).copy() for image in images]
    return torch.stack([torch.from_numpy(array).permute(2, 0, 1) for array in arrays])


def worst(network, noisy: Tensor) -> float:
    """How far it is from equivariant: the largest difference, relative to the largest change it makes."""
    with torch.no_grad():
        restored = network(noisy, SIGMA)
        off = [(network(turned(turn, noisy), SIGMA) - turned(turn, restored)).abs().max() for turn in TURNS]
    return float(max(off) / (restored - noisy).abs().max())


def train(network, optimizer, noisy: Tensor, steps: int = 4) -> None:
    clean = torch.rand(noisy.shape, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        (network(noisy, SIGMA) - clean).square().mean().backward()
        optimizer.step()


@pytest.fixture
def noisy() -> Tensor:
    return torch.rand(2, 1, 24, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_turned_image_is_restored_to_the_turned_restoration(sizes, channels):
    noisy = torch.rand(2, channels, 24, 24)
    assert worst(unet(sizes, channels), noisy) < 1e-5
    assert worst(unet(sizes, channels, equivariant=False), noisy) > 1e-2


@pytest.mark.parametrize("sizes", SIZES)
def test_training_keeps_it(sizes, noisy):
    for make in (
        lambda network: torch.optim.AdamW(network.parameters(), 0.01),
        lambda network: Muon(network, 0.01, weight_decay=0.01, dtype=torch.float32),
    ):
        network = unet(sizes)
        before = network(noisy, SIGMA)
        train(network, make(network), noisy)
        assert worst(network, noisy) < 1e-4
        assert not torch.allclose(network(noisy, SIGMA), before, atol=1e-3)


def test_gradients_are_the_mean_over_the_eight_turns_of_the_images(noisy):
    network = unet(SIZES[1])
    plain = copy.deepcopy(network)  # hooks are not copied: what autograd gives
    clean = torch.rand(noisy.shape)
    (network(noisy, SIGMA) - clean).square().mean().backward()
    for turn in TURNS:
        loss = (plain(turned(turn, noisy), SIGMA) - turned(turn, clean)).square().mean()
        (loss / len(TURNS)).backward()
    for mine, expected in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, expected.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("sizes", SIZES)
def test_one_weight_of_eight_is_free(sizes):
    for name, weight in unet(sizes).named_parameters():
        assert weight.unique().numel() <= weight.numel() // 8, name


def test_it_stays_so_when_it_takes_noise_z_as_well(noisy):
    network = made_stochastic(unet(SIZES[1]))
    z = torch.randn(noisy.shape)
    for _ in range(2):
        network(noisy, SIGMA, z).square().mean().backward()
        with torch.no_grad():
            for weight in network.parameters():
                weight -= 0.1 * weight.grad
    restored = network(noisy, SIGMA, z)
    for turn in TURNS:
        again = network(turned(turn, noisy), SIGMA, turned(turn, z))
        torch.testing.assert_close(again, turned(turn, restored.detach()), rtol=1e-3, atol=1e-3)


def test_keeping_it_changes_no_weight():
    network = unet(SIZES[0], equivariant=False)
    before = copy.deepcopy(network.state_dict())
    keep_equivariant(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())

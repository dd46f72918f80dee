"""Laws of the optimisers."""

from __future__ import annotations

import pytest
import torch

from degrain.build.generator import build_generator
from degrain.training.muon import UPDATE_RMS, Muon, orthogonal
from degrain.training.optimizers import generator_optimizer


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
def test_orthogonal_brings_singular_values_near_one_and_keeps_directions(shape) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    result = orthogonal(matrix)
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.5
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    exact = left @ right
    cosine = (result * exact).sum() / (result.norm() * exact.norm())
    assert cosine > 0.98


def test_update_does_not_depend_on_the_size_of_the_gradient() -> None:
    moved = []
    for factor in (1e-6, 1.0, 1e6):
        weight = torch.zeros(8, 8, 3, 3, requires_grad=True)
        weight.grad = factor * torch.randn(8, 8, 3, 3, generator=torch.Generator().manual_seed(1))
        Muon([weight], lr=0.1).step()
        moved.append(weight.detach().clone())
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(moved[1], moved[2], rtol=1e-3, atol=1e-5)
    assert moved[0].square().mean().sqrt().item() == pytest.approx(0.1 * UPDATE_RMS, rel=0.2)


def test_muon_goes_down() -> None:
    target = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(2))
    weight = torch.zeros_like(target, requires_grad=True)
    optimizer = Muon([weight], lr=0.1)
    for _ in range(200):
        weight.grad = weight.detach() - target
        optimizer.step()
    assert (weight.detach() - target).norm() < 0.1 * target.norm()


@pytest.mark.parametrize("kind", ["unet", "dncnn"])
def test_muon_takes_the_hidden_convolutions_and_adamw_the_rest(make_params, kind) -> None:
    params = make_params({"model": {"generator": kind}, "pretrain": {"optimizer": "muon"}})
    network = build_generator(params.model, 3)
    adamw, muon = generator_optimizer(network, params.pretrain).optimizers
    names = {id(weight): name for name, weight in network.named_parameters()}
    taken = [[names[id(w)] for group in o.param_groups for w in group["params"]] for o in (adamw, muon)]
    assert sorted(taken[0] + taken[1]) == sorted(names.values())
    assert all(network.get_parameter(name).ndim == 4 for name in taken[1])
    first, last = ("head.weight", "tail.weight") if kind == "unet" else ("layers.0.weight", taken[0][-2])
    assert {first, last} <= set(taken[0])


def test_adamw_takes_all_where_asked_for(make_params) -> None:
    params = make_params({"pretrain": {"optimizer": "adamw"}})
    network = build_generator(params.model, 1)
    (adamw,) = generator_optimizer(network, params.pretrain).optimizers
    assert len(adamw.param_groups[0]["params"]) == len(list(network.parameters()))

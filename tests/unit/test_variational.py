"""The denoising variational autoencoder: its divergence, its network, its step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from degrain.build.generator import load_generator, read_description
from degrain.build.pixel_losses import PIXEL
from degrain.build.released import released_path
from degrain.losses.variational import gaussian_divergence
from degrain.models.unet import Unet
from degrain.models.variational import START_LOG_VARIANCE, Posterior, VariationalUnet, made_variational
from degrain.training import loop
from degrain.training.checkpoint import Checkpoint
from degrain.training.loop import Plan, fit
from degrain.training.setup import start_state
from degrain.training.variational import VariationalStep
from training_support import CPU, Recorder, copied, same, small_dataset, summary_of_weights, trained_like

if TYPE_CHECKING:
    from degrain.training.state import TrainState

SHAPE = {"widths": [4, 6, 8], "blocks": [1, 1, 3]}


def unet() -> Unet:
    return trained_like(Unet(1, **SHAPE))


def test_divergence_is_the_closed_form_of_torch() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(3, 4, 5, 6), torch.randn(3, 4, 5, 6)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(gaussian_divergence(mean, log_variance), expected.sum((1, 2, 3)))


def test_divergence_is_the_mean_difference_of_log_densities() -> None:
    torch.manual_seed(0)
    posterior = Posterior(torch.tensor([[0.7, -0.3]]), torch.tensor([[-1.0, 0.5]]))
    latent = posterior.sample(torch.randn(400_000, 2))
    mine = Normal(posterior.mean, (posterior.log_variance / 2).exp()).log_prob(latent)
    drawn = (mine - Normal(0.0, 1.0).log_prob(latent)).sum(1).mean()
    torch.testing.assert_close(drawn, gaussian_divergence(*posterior)[0], atol=0.01, rtol=0)


def test_only_the_standard_normal_has_no_divergence() -> None:
    zero = torch.zeros(1, 2)
    assert gaussian_divergence(zero, zero).item() == 0
    for mean, log_variance in ((zero + 0.1, zero), (zero, zero + 0.1), (zero, zero - 0.1)):
        assert gaussian_divergence(mean, log_variance).item() > 0


def test_samples_have_the_mean_and_variance_of_the_posterior_and_pass_gradients_to_both() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.tensor(0.7, requires_grad=True), torch.tensor(-1.0, requires_grad=True)
    latent = Posterior(mean, log_variance).sample(torch.randn(200_000))
    assert latent.mean().item() == pytest.approx(0.7, abs=0.01)
    assert latent.var().item() == pytest.approx(math.exp(-1), rel=0.01)
    (latent.square().mean()).backward()  # of mean^2 + variance
    assert mean.grad.item() == pytest.approx(1.4, rel=0.02)
    assert log_variance.grad.item() == pytest.approx(math.exp(-1), rel=0.02)


def test_at_the_start_it_restores_what_the_unet_does() -> None:
    network, noisy, sigma = unet(), torch.rand(2, 1, 16, 24), torch.tensor([0.1, 0.2])
    grown = made_variational(network, **SHAPE)
    torch.testing.assert_close(grown(noisy, sigma), network(noisy, sigma), rtol=1e-6, atol=1e-6)
    posterior, skips = grown.encode(noisy, sigma)
    assert posterior.mean.shape == posterior.log_variance.shape == (2, 8, 4, 6)
    assert (posterior.log_variance == START_LOG_VARIANCE).all()
    assert torch.equal(
        grown.decode(noisy, posterior.sample(torch.zeros(2, 8, 4, 6)), skips), grown(noisy, sigma)
    )


def test_the_latent_changes_what_is_restored() -> None:
    grown, noisy, sigma = made_variational(unet(), **SHAPE), torch.rand(1, 1, 16, 24), torch.tensor([0.1])
    posterior, skips = grown.encode(noisy, sigma)
    one, other = (grown.decode(noisy, posterior.sample(torch.randn(1, 8, 4, 6)), skips) for _ in range(2))
    assert not torch.allclose(one, other)


def test_the_released_network_hardly_grows_and_has_a_latent_of_about_one() -> None:
    released = released_path("faithful", 1)
    network, shape = load_generator(released)[0], read_description(released)[0].unet
    grown = made_variational(network, widths=shape.widths, blocks=shape.blocks)
    plain, more = (sum(weight.numel() for weight in one.parameters()) for one in (network, grown))
    assert 1 < more / plain < 1.05
    torch.manual_seed(0)
    noisy = torch.rand(1, 1, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    noisy = noisy + 0.1 * torch.randn(1, 1, 64, 64)
    assert 0.3 < grown.encode(noisy, torch.tensor([0.1]))[0].mean.std().item() < 3


def training(params, data, weight: float = 0.1) -> tuple[TrainState, Plan]:
    torch.manual_seed(0)
    shape = {"widths": params.model.unet.widths, "blocks": params.model.unet.blocks}
    network = made_variational(trained_like(Unet(params.data.channels, **shape)), **shape)
    step = VariationalStep(PIXEL["mse"], balance_levels=True, weight=weight, seed=params.seed)
    return start_state(network, params.pretrain, CPU), Plan(params.pretrain, data, step, summary_of_weights)


def test_the_divergence_falls_where_it_weighs(make_params, photo, tmp_path) -> None:
    params = make_params({"pretrain": {"lr": 0.01, "steps": 20, "gradient_clip": 10.0}})
    data = small_dataset(params, params.pretrain, photo, tmp_path / "patches")
    after = {}
    for weight in (0.0, 1.0):
        state, plan = training(params, data, weight)
        fit(state, plan, checkpoint=Checkpoint("v", str(weight), root=tmp_path), log=Recorder(), name="v")
        batch = data.batch(0)
        posterior, _ = state.generator.network.encode(batch.noisy, batch.sigma)
        after[weight] = gaussian_divergence(*posterior).mean().item()
    assert after[1.0] < after[0.0] / 2


def test_the_terms_are_the_loss_and_the_weighted_divergence_of_a_value(make_params, photo, tmp_path) -> None:
    params = make_params()
    data = small_dataset(params, params.pretrain, photo, tmp_path / "patches")
    state, plan = training(params, data, 0.1)
    batch = data.batch(0)
    posterior, _ = state.generator.network.encode(batch.noisy, batch.sigma)
    stats = plan.step(state, batch)
    expected = 0.1 * gaussian_divergence(*posterior).mean().item() / batch.clean[0].numel()
    assert stats["divergence"] == pytest.approx(expected, rel=1e-4)
    assert stats["pixel"] > 0


def test_killed_and_resumed_it_has_the_same_weights(make_params, photo, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    params = make_params()
    data = small_dataset(params, params.pretrain, photo, tmp_path / "patches")
    whole, plan = training(params, data)
    fit(whole, plan, checkpoint=Checkpoint("v", "whole", root=tmp_path), log=Recorder(), name="v")
    checkpoint, (begun, plan) = Checkpoint("v", "killed", root=tmp_path), training(params, data)
    for step in range(3):
        loop.advance(begun, data.batch(step), plan)
    loop._close_interval(begun, plan)
    checkpoint.save(begun.state_dict())
    resumed, plan = training(params, data)
    fit(resumed, plan, checkpoint=checkpoint, log=Recorder(), name="v")
    assert same(copied(resumed.ema.network), copied(whole.ema.network))


def test_other_networks_are_refused(make_params, photo, tmp_path) -> None:
    params = make_params()
    data = small_dataset(params, params.pretrain, photo, tmp_path / "patches")
    state = start_state(unet(), params.pretrain, CPU)
    step = VariationalStep(PIXEL["mse"], balance_levels=True, weight=0.1, seed=0)
    with pytest.raises(TypeError, match="Unet; expected VariationalUnet"):
        step(state, data.batch(0))
    assert isinstance(made_variational(unet(), **SHAPE), VariationalUnet)

"""Generators that take noise z, and how a deterministic one becomes one of them."""

from __future__ import annotations

import pytest
import torch

from degrain.build.dial import load_between
from degrain.build.generator import (
    build_generator,
    load_generator,
    read_description,
    save_generator,
    save_weights,
)
from degrain.build.released import released_path
from degrain.errors import DegrainError
from degrain.export import export_onnx
from degrain.models.dncnn import Dncnn
from degrain.models.unet import Unet, made_stochastic
from degrain.params import ParamsError
from degrain.seeding import noise_window
from training_support import trained_like

SIGMA = torch.tensor([0.1, 0.3])


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def plain():
    return trained_like(Unet(3, widths=[4, 6, 8], blocks=[1, 1, 2]))


@pytest.fixture
def grown(plain):
    """A stochastic network that has learned to use z."""
    network = made_stochastic(plain)
    with torch.no_grad():
        network.head.weight[:, 4:] = normal(4, 3, 3, 3) / 5
    return network.eval()


def test_a_generator_that_becomes_stochastic_restores_as_before_whatever_z_is(plain):
    noisy = normal(2, 3, 16, 24)
    before = plain(noisy, SIGMA)
    stochastic = made_stochastic(plain)
    for seed in (1, 2):
        torch.testing.assert_close(stochastic(noisy, SIGMA, 10 * normal(2, 3, 16, 24, seed=seed)), before)
    assert not plain.stochastic  # it is left as it was
    torch.testing.assert_close(plain(noisy, SIGMA), before, rtol=0, atol=0)


def test_weights_of_z_learn_from_the_first_step_on(plain):
    stochastic = made_stochastic(plain).train()
    stochastic(normal(2, 3, 16, 16), SIGMA, normal(2, 3, 16, 16, seed=1)).square().mean().backward()
    blind = stochastic.head.weight.grad[:, 4:]
    assert (blind != 0).all()


def test_an_image_its_level_and_z_as_it_is_scale_the_restoration(grown):
    noisy, z = normal(2, 3, 16, 16), normal(2, 3, 16, 16, seed=1)
    torch.testing.assert_close(
        grown(3 * noisy, 3 * SIGMA, z), 3 * grown(noisy, SIGMA, z), rtol=1e-4, atol=1e-4
    )


def test_without_noise_in_the_image_z_has_no_effect(grown):
    noisy, none = normal(2, 3, 16, 16), torch.zeros(2)
    one, other = (grown(noisy, none, normal(2, 3, 16, 16, seed=seed)) for seed in (1, 2))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    one, other = (grown(noisy, SIGMA, normal(2, 3, 16, 16, seed=seed)) for seed in (1, 2))
    assert (one - other).abs().mean() > 0.01


def test_networks_refuse_what_they_do_not_take(grown):
    with pytest.raises(ValueError, match="z = None; expected standard normal noise"):
        grown(normal(2, 3, 16, 16), SIGMA)
    with pytest.raises(ValueError, match="Dncnn; expected Unet"):
        made_stochastic(Dncnn(3, depth=3, width=4))


def test_only_the_unet_can_be_stochastic(make_params):
    assert make_params({"model": {"stochastic": True}}).model.stochastic
    said = "model = .*stochastic = True; expected false with generator = dncnn, or unet"
    with pytest.raises(ParamsError, match=said):
        make_params({"model": {"stochastic": True, "generator": "dncnn"}})


# --- files ---


def test_a_stochastic_generator_survives_its_file(make_params, tmp_path):
    section = make_params().model  # says no, as in a pipeline whose params were changed since
    network = made_stochastic(trained_like(build_generator(section, 1)))
    path, noisy, z = tmp_path / "g.safetensors", normal(1, 1, 16, 16), normal(1, 1, 16, 16, seed=1)
    save_generator(path, network, section, 1)
    assert read_description(path)[0].stochastic
    again, channels = load_generator(path)
    assert (channels, again.stochastic) == (1, True)
    torch.testing.assert_close(again(noisy, SIGMA[:1], z), network(noisy, SIGMA[:1], z), rtol=0, atol=0)


def test_files_that_say_nothing_of_it_are_deterministic_and_can_be_made_stochastic(make_params, tmp_path):
    section = make_params().model
    network = trained_like(build_generator(section, 3))
    described = section.model_dump(mode="json")
    del described["stochastic"]
    save_weights(tmp_path / "old.safetensors", network, {"channels": 3, "model": described})
    for path in (tmp_path / "old.safetensors", released_path("faithful", 1), released_path("realistic", 3)):
        assert not read_description(path)[0].stochastic
        assert not load_generator(path)[0].stochastic
        assert load_generator(path, stochastic=True)[0].stochastic


def test_pretraining_is_not_stochastic_in_the_params_nor_in_its_file(make_params, tmp_path):
    section = make_params({"model": {"stochastic": True}}).model
    network = build_generator(section, 3)
    save_generator(tmp_path / "g.safetensors", network, section, 3)
    assert not network.stochastic
    assert not read_description(tmp_path / "g.safetensors")[0].stochastic


def test_the_dial_goes_from_a_deterministic_network_to_a_stochastic_one(make_params, tmp_path, grown, plain):
    section = make_params({"model": {"unet": {"widths": [4, 6, 8], "blocks": [1, 1, 2]}}}).model
    faithful, realistic = tmp_path / "faithful.safetensors", tmp_path / "realistic.safetensors"
    save_generator(faithful, plain, section, 3)
    save_generator(realistic, grown, section, 3)
    noisy, z = normal(2, 3, 16, 16), normal(2, 3, 16, 16, seed=1)
    torch.testing.assert_close(load_between(faithful, realistic, 0)[0](noisy, SIGMA, z), plain(noisy, SIGMA))
    torch.testing.assert_close(
        load_between(faithful, realistic, 1)[0](noisy, SIGMA, z), grown(noisy, SIGMA, z)
    )


def test_a_stochastic_generator_is_not_exported(make_params, tmp_path):
    section = make_params().model
    path = tmp_path / "g.safetensors"
    save_generator(path, made_stochastic(build_generator(section, 1)), section, 1)
    with pytest.raises(DegrainError, match="takes noise z, which no export has yet"):
        export_onnx(path, tmp_path / "g.onnx")


# --- z ---


def test_a_pixel_of_the_noise_is_the_same_in_every_window():
    whole = noise_window(2, slice(0, 600), slice(0, 300), 7, "z")
    assert whole.shape == (1, 2, 600, 300)
    for rows, columns in (
        (slice(0, 600), slice(250, 260)),
        (slice(255, 257), slice(0, 300)),
        (slice(513, 599), slice(7, 8)),
    ):
        torch.testing.assert_close(
            noise_window(2, rows, columns, 7, "z"), whole[:, :, rows, columns], rtol=0, atol=0
        )


def test_the_noise_is_standard_normal_white_and_another_for_another_purpose():
    noise = noise_window(1, slice(0, 600), slice(0, 600), 0, "z")[0, 0]
    count = noise.numel()
    assert abs(noise.mean()) < 4 / count**0.5
    assert noise.var() == pytest.approx(1, abs=4 * (2 / count) ** 0.5)
    for moved in (
        noise[1:, :] * noise[:-1, :],
        noise[256:, :] * noise[:-256, :],
        noise[:, 256:] * noise[:, :-256],
    ):
        assert abs(moved.mean()) < 4 / moved.numel() ** 0.5
    for other in ((1, "z"), (0, "y"), (0, "z", 1)):
        product = noise_window(1, slice(0, 600), slice(0, 600), *other)[0, 0] * noise
        assert abs(product.mean()) < 4 / count**0.5

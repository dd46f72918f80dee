"""Laws of the networks."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from degrain.build.discriminator import build_discriminator
from degrain.build.generator import build_generator, load_generator, save_generator
from degrain.errors import DegrainError
from degrain.models.discriminators import (
    DETAIL_GAIN,
    DcganDiscriminator,
    PatchDiscriminator,
    UnetDiscriminator,
    emphasise_detail,
)
from degrain.models.dncnn import Dncnn
from degrain.models.unet import Unet
from training_support import trained_like

GENERATORS = [
    lambda channels: Unet(channels, widths=[4, 6, 8], blocks=[1, 1, 2]),
    lambda channels: Unet(channels, widths=[4], blocks=[4]),
    lambda channels: Unet(channels, widths=[4, 6], blocks=[1, 1], stem_stride=2),
    lambda channels: Dncnn(channels, depth=5, width=6),
]


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("channels", [1, 3])
def test_untrained_generator_returns_its_input(make, channels) -> None:
    noisy = torch.rand(2, channels, 16, 24)
    assert torch.equal(make(channels)(noisy, torch.tensor([0.1, 0.2])), noisy)


@pytest.mark.parametrize("make", GENERATORS)
def test_no_output_depends_on_what_is_out_of_reach(make) -> None:
    network = trained_like(make(1))
    noisy = torch.rand(1, 1, 96, 8, requires_grad=True)
    row = 40
    network(noisy, torch.tensor([0.1]))[0, 0, row].sum().backward()
    seen = noisy.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert seen.min() >= row - network.reach_px
    assert seen.max() <= row + network.reach_px
    assert seen.max() - seen.min() > 2  # it does look around


@pytest.mark.parametrize("make", GENERATORS)
def test_restoring_a_batch_equals_restoring_one_by_one(make) -> None:
    network = trained_like(make(3))
    noisy, sigma = torch.rand(3, 3, 16, 16), torch.tensor([0.02, 0.1, 0.2])
    alone = torch.cat([network(noisy[i : i + 1], sigma[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(network(noisy, sigma), alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("make", GENERATORS)
def test_sigma_changes_the_result(make) -> None:
    network, noisy = trained_like(make(1)), torch.rand(1, 1, 16, 16)
    assert not torch.allclose(network(noisy, torch.tensor([0.0])), network(noisy, torch.tensor([0.3])))


@pytest.mark.parametrize("factor", [0.25, 3.0])
def test_unet_scales_with_image_and_noise_level(factor) -> None:
    network, noisy = trained_like(Unet(3, widths=[4, 6, 8], blocks=[1, 1, 2])), torch.rand(1, 3, 16, 24)
    restored = network(noisy, torch.tensor([0.1]))
    scaled = network(factor * noisy, torch.tensor([0.1 * factor]))
    torch.testing.assert_close(scaled, factor * restored, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spectral_norm", [True, False])
def test_unet_discriminator_scores_every_pixel(spectral_norm) -> None:
    judgement = UnetDiscriminator(3, width=4, spectral_norm=spectral_norm)(torch.rand(2, 3, 16, 24))
    assert judgement.logits.shape == (2, 1, 16, 24)
    assert all(len(feature) == 2 for feature in judgement.features)


@pytest.mark.parametrize("side", [32, 64, 96])
def test_patch_discriminator_scores_every_patch(side) -> None:
    judgement = PatchDiscriminator(1, width=4, spectral_norm=True)(torch.rand(2, 1, side, side))
    assert judgement.logits.shape == (2, 1, side // 8 - 2, side // 8 - 2)


@pytest.mark.parametrize(("side", "convolutions"), [(8, 1), (28, 3), (32, 3), (64, 4), (96, 5)])
@pytest.mark.parametrize("minibatch_std", [True, False])
def test_dcgan_discriminator_scores_the_whole_image(side, convolutions, minibatch_std) -> None:
    options = {"width": 4, "spectral_norm": False, "minibatch_std": minibatch_std}
    network = DcganDiscriminator(3, side_px=side, **options)
    image = torch.rand(2, 3, side, side, requires_grad=True)
    judgement = network(image)
    assert judgement.logits.shape == (2, 1, 1, 1)
    assert [feature.shape[1] for feature in judgement.features] == [4, 8, 16, 32, 32][:convolutions]
    assert judgement.features[-1].shape[2] in (3, 4)
    judgement.logits.sum().backward()
    seen = image.grad.abs().sum(dim=(0, 1)) > 0  # an odd row at the edge may fall out of the halving
    assert seen[: side - side % 8, : side - side % 8].all()


def test_dcgan_discriminator_refuses_images_of_another_size() -> None:
    network = DcganDiscriminator(1, width=4, side_px=32, spectral_norm=True)
    with pytest.raises(ValueError, match="image of 32 x 28 pixels; this discriminator takes 32 x 32"):
        network(torch.rand(1, 1, 28, 32))


def test_emphasis_leaves_flat_parts_and_amplifies_detail() -> None:
    flat = torch.full((1, 3, 9, 12), 0.7)
    torch.testing.assert_close(emphasise_detail(flat), flat - 0.5)
    speck = flat.clone()
    speck[0, 1, 4, 6] += 0.01
    change = emphasise_detail(speck) - emphasise_detail(flat)
    assert change[0, 1, 4, 6].item() == pytest.approx(0.01 * (1 + DETAIL_GAIN * 24 / 25), rel=1e-3)
    assert change[:, [0, 2]].abs().max() == 0
    torch.testing.assert_close(change.sum(), torch.tensor(0.01), rtol=0.1, atol=0)


@pytest.mark.parametrize(
    "make", [UnetDiscriminator, PatchDiscriminator, partial(DcganDiscriminator, side_px=32)]
)
def test_spectral_norm_bounds_the_largest_singular_value(make) -> None:
    torch.manual_seed(0)
    network = make(1, width=4, spectral_norm=True)
    with torch.no_grad():
        for layer in network.modules():
            if hasattr(layer, "parametrizations"):
                layer.parametrizations.weight.original.mul_(50)
        for _ in range(50):
            network(torch.rand(2, 1, 32, 32))
    network.eval()
    bounded = [layer for layer in network.modules() if hasattr(layer, "parametrizations")]
    assert len(bounded) >= 3
    for layer in bounded:
        outputs_first = (
            layer.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight
        )
        assert torch.linalg.matrix_norm(outputs_first.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("kind", ["unet", "patchgan", "dcgan"])
def test_conditional_discriminator_sees_twice_the_channels(make_params, kind) -> None:
    section = make_params(
        {"train": {"discriminator": {"kind": kind, "conditional": True}}}
    ).train.discriminator
    assert build_discriminator(section, 3, side_px=32)(torch.rand(1, 6, 32, 32)).logits.shape[0] == 1


@pytest.mark.parametrize("kind", ["unet", "dncnn"])
def test_saved_generator_loads_to_the_same_function(make_params, kind, tmp_path) -> None:
    model = make_params({"model": {"generator": kind}}).model
    network = trained_like(build_generator(model, 3))
    save_generator(tmp_path / "g.safetensors", network, model, 3)
    loaded, channels = load_generator(tmp_path / "g.safetensors")
    noisy, sigma = torch.rand(1, 3, 16, 16), torch.tensor([0.1])
    assert channels == 3
    assert torch.equal(loaded(noisy, sigma), network(noisy, sigma))


def test_same_generator_is_saved_to_the_same_bytes(make_params, tmp_path) -> None:
    model = make_params().model
    network = trained_like(build_generator(model, 3))
    for number in range(8):
        save_generator(tmp_path / f"{number}", network, model, 3)
    assert len({(tmp_path / f"{number}").read_bytes() for number in range(8)}) == 1


def test_file_that_holds_no_generator_is_refused(tmp_path) -> None:
    path = tmp_path / "g.safetensors"
    with pytest.raises(DegrainError, match="no generator there"):
        load_generator(path)
    path.write_bytes(b"not weights at all")
    with pytest.raises(DegrainError, match="expected a generator that degrain saved"):
        load_generator(path)

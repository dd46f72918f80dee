"""A generator as ONNX."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from degrain import cli, export
from degrain.build.generator import build_generator, save_generator
from degrain.errors import DegrainError
from degrain.export import AnySize, export_onnx
from degrain.restore import Restorer, pad_to_multiple
from training_support import CPU, trained_like

RNG = np.random.default_rng(2)


def needs_onnx():
    """The packages of the extra, or a skip."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"no {name}: pip install 'degrain[onnx]'", exc_type=ImportError)


def generator(make_params, folder, name="unet", channels=3):
    section = make_params(
        {"model": {"generator": name, "unet": {"widths": [4, 6, 8], "blocks": [1, 1, 2]}}}
    ).model
    path = folder / f"{name}.safetensors"
    save_generator(path, trained_like(build_generator(section, channels)), section, channels)
    return path


@pytest.fixture
def model(make_params, tmp_path):
    return generator(make_params, tmp_path, "dncnn", channels=1)


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("size", [(1, 1), (37, 51), (8, 12)])
def test_padding_inside_is_padding_outside(size, stride):
    def sum_of_what_follows(noisy, sigma):
        return noisy.flip(2, 3).cumsum(3).cumsum(2).flip(2, 3)

    network = torch.nn.Module()
    network.stride, network.forward = stride, sum_of_what_follows
    image = torch.rand(2, 3, *size)
    expected = network(pad_to_multiple(image, stride), None)[:, :, : size[0], : size[1]]
    assert torch.equal(AnySize(network)(image, torch.ones(2)), expected)


def session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("name", "channels"), [("unet", 3), ("dncnn", 1)])
def test_the_file_alone_restores_any_size_as_pytorch_does(make_params, tmp_path, capsys, name, channels):
    needs_onnx()
    path = generator(make_params, tmp_path, name, channels)
    output = tmp_path / "new" / "g.onnx"
    assert cli.main(["export", str(path), str(output)]) == 0
    assert "as PyTorch computes within" in capsys.readouterr().out
    assert [file.name for file in output.parent.iterdir()] == ["g.onnx"]  # no weights beside it
    restore, run = Restorer.load(path, CPU), session(output)
    for height, width in [(1, 1), (37, 51), (481, 321), (8, 8), (2, 31)]:
        noisy = RNG.random((height, width, channels), dtype=np.float32)
        given = {"noisy": noisy.transpose(2, 0, 1)[None], "sigma": np.array([0.1], np.float32)}
        (restored,) = run.run(None, given)
        np.testing.assert_allclose(restored[0].transpose(1, 2, 0), restore(noisy, 0.1), atol=1e-4)
    batch = RNG.random((3, channels, 5, 6), dtype=np.float32)
    levels = np.array([0.0, 0.1, 0.3], np.float32)
    (restored,) = run.run(None, {"noisy": batch, "sigma": levels})
    for one, level, found in zip(batch, levels, restored, strict=True):
        (alone,) = run.run(None, {"noisy": one[None], "sigma": level[None]})
        np.testing.assert_allclose(found, alone[0], atol=1e-5)
    said = run.get_modelmeta().custom_metadata_map
    assert said["channels"] == str(channels)
    assert said["stride"].startswith("4" if name == "unet" else "1")
    assert "units of 255 / 255" in said["sigma"]
    assert str(Path(export.__file__).parent).encode() not in output.read_bytes()  # nor where it was made


def test_a_file_that_computes_something_else_is_not_written(monkeypatch, model, tmp_path):
    needs_onnx()
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(DegrainError, match=r"g\.onnx: not written, as it differs from PyTorch by"):
        export_onnx(model, tmp_path / "g.onnx")
    assert not (tmp_path / "g.onnx").exists()


def test_without_onnxruntime_it_says_that_nothing_was_checked(monkeypatch, model, tmp_path, capsys):
    needs_onnx()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert cli.main(["export", str(model), str(tmp_path / "g.onnx")]) == 0
    assert "not checked, as onnxruntime is not installed" in capsys.readouterr().out
    assert (tmp_path / "g.onnx").is_file()


def test_without_onnx_it_names_the_extra(monkeypatch, model, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert cli.main(["export", str(model), str(tmp_path / "g.onnx")]) == 2
    assert "onnx is not installed; pip install 'degrain[onnx]'" in capsys.readouterr().err
    assert not (tmp_path / "g.onnx").exists()


def test_names_that_cannot_be_are_refused(model, tmp_path, capsys):
    assert cli.main(["export", str(model), str(tmp_path / "g.safetensors")]) == 2
    assert "g.safetensors: expected a name that ends in .onnx" in capsys.readouterr().err


@pytest.mark.parametrize("channels", [1, 3])
def test_released_weights_are_exported_by_name(tmp_path, channels):
    needs_onnx()
    output = tmp_path / "g.onnx"
    assert cli.main(["export", "realistic", str(output), "--channels", str(channels)]) == 0
    assert session(output).get_inputs()[0].shape[1] == channels


def test_a_missing_generator_is_named(tmp_path, capsys):
    needs_onnx()
    assert cli.main(["export", str(tmp_path / "no.safetensors"), str(tmp_path / "g.onnx")]) == 2
    assert "no.safetensors: no generator there" in capsys.readouterr().err

"""`degrain sampling`: the law of means, and the calibration of the predicted error."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from degrain import cli
from degrain.build.generator import build_generator, save_generator
from degrain.data.noisy import Pair
from degrain.data.synthesis import make_noisy_sets
from degrain.evaluation.sampling import as_text, examine, write_findings
from degrain.files import read_image, write_image
from degrain.models.unet import made_stochastic
from support import SMALL, merged
from training_support import trained_like

# How far clean pixels lie around 0.5, in the left half and in the right one; and the noise.
WIDTHS, SIGMA = (0.02, 0.1), 0.1


class Posterior:
    """Draws what a pixel may have been, whose clean value is spread around 0.5; `spread` 1 is right."""

    def __init__(self, shape, spread=1.0):
        prior = np.full(shape, WIDTHS[0] ** 2)
        prior[:, shape[1] // 2 :] = WIDTHS[1] ** 2
        self.gain = prior / (prior + SIGMA**2)
        self.deviation = spread * np.sqrt(prior * (1 - self.gain))

    def __call__(self, noisy, sigma):
        assert sigma == SIGMA
        return (0.5 + self.gain * (noisy - 0.5)).astype(np.float32)

    def samples(self, noisy, sigma, *, count):
        noise = np.random.default_rng(1).normal(size=(count, *noisy.shape))
        return (self(noisy, sigma) + self.deviation * noise).astype(np.float32)


def pairs(count=3, shape=(64, 96, 1)):
    rng = np.random.default_rng(0)
    for number in range(count):
        width = np.where(np.arange(shape[1]) < shape[1] // 2, *WIDTHS)[None, :, None]
        clean = (0.5 + width * rng.normal(size=shape)).astype(np.float32)
        yield Pair(str(number), "s", SIGMA, clean, clean + SIGMA * rng.normal(size=shape).astype(np.float32))


def examined(spread):
    shape = (64, 96, 1)
    return examine(pairs(), Posterior(shape, spread), Posterior(shape), count=32)


def test_samples_of_the_truth_obey_the_law_and_are_calibrated():
    found = examined(1.0)
    assert list(found.law["samples"]) == [1, 2, 4, 8, 16, 32]
    np.testing.assert_allclose(found.law["psnr"], found.law["expected_psnr"], atol=0.1)
    assert found.law["psnr"][0] < found.law["psnr"][5] - 2.5
    assert found.reference["psnr"] == pytest.approx(found.law["psnr"][5], abs=0.25)
    assert found.law["spectrum_distance"][0] < found.law["spectrum_distance"][5]
    assert found.variance_ratio == pytest.approx(1, abs=0.05)
    middle = slice(2, 8)
    np.testing.assert_allclose(
        found.calibration["predicted_255"][middle], found.calibration["real_255"][middle], rtol=0.2
    )
    assert found.calibration["real_255"][18] > 2 * found.calibration["real_255"][1]
    assert found.calibration["pixels"].sum() == 3 * 64 * 96


def test_a_generator_that_ignores_z_or_exaggerates_is_found_out():
    ignores, exaggerates = examined(0.0), examined(2.0)
    assert ignores.variance_ratio == 0
    assert ignores.law["psnr"].nunique() == 1
    assert exaggerates.variance_ratio == pytest.approx(4, rel=0.15)
    assert exaggerates.law["psnr"][0] < exaggerates.law["expected_psnr"][0] - 1


@pytest.mark.parametrize(("count", "sizes"), [(2, [1, 2]), (5, [1, 2, 4, 5])])
def test_every_power_of_two_is_measured_and_all(count, sizes):
    shape = (16, 16, 1)
    found = examine(pairs(1, shape), Posterior(shape), Posterior(shape), count=count)
    assert list(found.law["samples"]) == sizes


def test_findings_become_tables_plots_and_text(tmp_path):
    found = examined(1.0)
    write_findings(found, "sigma_25", tmp_path)
    assert list(pd.read_csv(tmp_path / "law.csv")) == [
        "samples",
        "psnr",
        "expected_psnr",
        "spectrum_distance",
    ]
    assert len(pd.read_csv(tmp_path / "calibration.csv")) == 20
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["level"] == "sigma_25"
    assert summary["mean_of_32"]["psnr"] == found.law["psnr"][5]
    assert summary["variance_ratio"] == found.variance_ratio
    for name in ("law.png", "calibration.png"):
        assert read_image(tmp_path / name).shape[2] == 3
    assert f"        32  {found.law['psnr'][5]:>6.2f}" in as_text(found)


# --- the command ---


@pytest.fixture
def project(default_values, make_params, photo, tmp_path, monkeypatch):
    """A folder in which a pipeline with a stochastic generator has run."""
    params = make_params()
    values = merged(merged(default_values, SMALL), {"data": {"channels": 3}})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    for name in ("x", "y"):
        write_image(tmp_path / f"data/raw/test/{name}.png", photo[:24, :32])
    (tmp_path / "data/raw/val").mkdir()

    def degrade(clean, level, *, generator):
        return clean + level / 255 * torch.randn(clean.shape, generator=generator), level / 255

    levels = [("sigma_15", 15.0), ("sigma_25", 25.0), ("sigma_50", 50.0)]
    make_noisy_sets(tmp_path / "data/raw", tmp_path / "data/noisy", levels, degrade, seed=0)
    plain = trained_like(build_generator(params.model, 3))
    network = made_stochastic(plain)
    with torch.no_grad():
        network.head.weight[:, 4:] = 0.1
    save_generator(tmp_path / "models/pretrain/generator.safetensors", plain, params.model, 3)
    save_generator(tmp_path / "models/train/generator.safetensors", network, params.model, 3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_examines_the_trained_generator(project, capsys):
    assert cli.main(["sampling", "--count", "4", "--images", "1"]) == 0
    assert "predicted by real squared error:" in capsys.readouterr().out
    summary = json.loads((project / "reports/sampling/summary.json").read_text())
    assert (summary["level"], summary["images"]) == ("sigma_25", 1)
    assert summary["variance_ratio"] > 0
    assert pd.read_csv(project / "reports/sampling/calibration.csv")["pixels"].sum() == 24 * 32 * 3


def test_the_command_says_that_the_pipeline_comes_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sampling"]) == 2
    assert "data/noisy/manifest.csv: not found; expected" in capsys.readouterr().err


def test_the_command_says_what_it_cannot_examine(project, capsys):
    assert cli.main(["sampling", "--level", "sigma_7"]) == 2
    assert "--level sigma_7; expected one of: sigma_15, sigma_25, sigma_50" in capsys.readouterr().err
    assert cli.main(["sampling", "--model", "models/pretrain/generator.safetensors"]) == 2
    said = capsys.readouterr().err
    assert "pretrain/generator.safetensors: takes no noise z, so it has no samples; expected one that" in said
    assert "degrain preset colour-sampling" in said
    assert not (project / "reports").exists()

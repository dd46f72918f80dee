"""The filters of today, the choice of their sizes, and BM3D's command."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from degrain import bm3d
from degrain.baselines import BASELINES, SIZES, best_size, bilateral, fitted
from degrain.errors import DegrainError
from degrain.evaluation.report import identify_test_set
from degrain.metrics import psnr, to_8_bit

SIGMA = 25 / 255
every_baseline = pytest.mark.parametrize("name", BASELINES)
both_channels = pytest.mark.parametrize("channels", [1, 3])


def quality(restored, clean):
    return psnr(to_8_bit(restored), clean, data_range=1.0)


def pair(photo, channels, sigma=SIGMA):
    clean = photo[:60, :75, :channels]
    return (clean + np.random.default_rng(0).normal(0, sigma, clean.shape)).astype(np.float32), clean


def setting(name, sigma=SIGMA):
    """The second argument: a size, or sigma."""
    return SIZES[name][1] if name in SIZES else sigma


def test_the_baselines_come_in_the_order_of_the_table():
    assert list(BASELINES) == [
        "mean", "median", "gaussian", "bilateral", "total_variation", "wavelet", "non_local_means"
    ]  # fmt: skip


@every_baseline
@both_channels
def test_noise_is_reduced(photo, name, channels):
    noisy, clean = pair(photo, channels)
    before = noisy.copy()
    restored = fitted(name, [(noisy, clean)], quality)(noisy, SIGMA)
    assert quality(restored, clean) > quality(noisy, clean) + 3
    assert restored.shape == noisy.shape
    assert restored.dtype == np.float32
    np.testing.assert_array_equal(noisy, before)


@every_baseline
@both_channels
@pytest.mark.parametrize("value", [0.0, 0.3, -0.1])
def test_a_constant_image_stays_constant(name, channels, value):
    flat = np.full((20, 33, channels), value, np.float32)
    np.testing.assert_allclose(BASELINES[name](flat, setting(name)), flat, atol=2e-6)


@every_baseline
@both_channels
def test_brightness_is_kept(photo, name, channels):
    noisy, _ = pair(photo, channels)
    assert BASELINES[name](noisy, setting(name)).mean() == pytest.approx(noisy.mean(), abs=0.004)


@every_baseline
@both_channels
def test_values_outside_of_the_range_are_welcome(photo, name, channels):
    noisy, _ = pair(photo, channels)
    shifted = BASELINES[name](noisy - 2, setting(name)) + 2
    np.testing.assert_allclose(shifted, BASELINES[name](noisy, setting(name)), atol=2e-3)


@pytest.mark.parametrize("name", [name for name in BASELINES if name not in SIZES])
@both_channels
def test_settings_follow_from_sigma(photo, name, channels):
    _, clean = pair(photo, channels)
    np.testing.assert_allclose(BASELINES[name](clean, 0.0), clean, atol=0.01)
    roughness = [np.abs(np.diff(BASELINES[name](clean, sigma), axis=1)).mean() for sigma in (0.0, 0.05, 0.2)]
    assert roughness == sorted(roughness, reverse=True)


@pytest.mark.parametrize("name", ["mean", "median", "gaussian", "bilateral"])
@pytest.mark.parametrize("turn", [np.flipud, np.fliplr, lambda image: image.transpose(1, 0, 2)])
def test_window_filters_prefer_no_direction(photo, name, turn):
    noisy, _ = pair(photo, 3)
    turned = BASELINES[name](np.ascontiguousarray(turn(noisy)), setting(name))
    np.testing.assert_allclose(turned, turn(BASELINES[name](noisy, setting(name))), atol=1e-5)


@both_channels
def test_bilateral_is_the_mean_weighted_by_difference_in_value(photo, channels):
    noisy = pair(photo, channels)[0][:20, :22]
    padded = np.pad(noisy, ((3, 3), (3, 3), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7), axis=(0, 1))
    distance = ((windows - noisy[..., None, None]) ** 2).sum(2, keepdims=True)
    weights = np.exp(-distance / (2 * (3 * SIGMA) ** 2))
    expected = (weights * windows).sum((-1, -2)) / weights.sum((-1, -2))
    np.testing.assert_allclose(bilateral(noisy, SIGMA), expected, atol=1e-3)


@pytest.mark.parametrize(("name", "size"), [("mean", 5), ("median", 3)])
def test_size_is_the_side_of_the_square(photo, name, size):
    noisy = pair(photo, 3)[0]
    margin = size // 2
    expected = getattr(np, name)(noisy[10 - margin : 11 + margin, 20 - margin : 21 + margin], axis=(0, 1))
    np.testing.assert_allclose(BASELINES[name](noisy, size)[10, 20], expected, atol=1e-6)


def test_the_best_size_grows_with_the_noise(photo):
    for name in SIZES:
        sizes = [best_size(name, [pair(photo, 3, sigma)], quality) for sigma in (0.02, 0.1, 0.4)]
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[-1]


def test_the_best_size_is_best_on_average_and_the_smallest_of_equals(photo):
    (noisy, clean), (other, _) = pair(photo, 1), pair(photo, 1, sigma=0.4)
    pairs = [(noisy, clean), (other, clean)]
    scores = {
        size: np.mean([quality(BASELINES["mean"](image, size), clean) for image, _ in pairs])
        for size in SIZES["mean"]
    }
    assert best_size("mean", pairs, quality) == max(scores, key=scores.get)
    assert best_size("gaussian", pairs, lambda restored, clean: 1.0) == SIZES["gaussian"][0]


def test_a_fitted_size_is_used_at_any_sigma(photo):
    noisy, clean = pair(photo, 3)
    chosen = best_size("median", [(noisy, clean)], quality)
    np.testing.assert_array_equal(
        fitted("median", [(noisy, clean)], quality)(noisy, 0.9), BASELINES["median"](noisy, chosen)
    )


def test_no_size_is_chosen_by_nothing():
    with pytest.raises(ValueError, match="no validation images to choose the size of the mean filter by"):
        best_size("mean", [], quality)


@pytest.fixture
def fixed_set(tmp_path, monkeypatch, photo):
    """Two noisy test images at two levels, and one validation image, where the stages put them."""
    monkeypatch.chdir(tmp_path)
    images = [
        ("test", "a", "sigma_25"),
        ("test", "b", "sigma_25"),
        ("test", "a", "sigma_50"),
        ("val", "c", "sigma_25"),
    ]
    rows = []
    for split, name, level in images:
        folders = tmp_path / "data/raw" / split, tmp_path / "data/noisy" / split / level
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        sigma = int(level[-2:]) / 255
        noisy, clean = pair(photo, 3, sigma)
        Image.fromarray((clean * 255).round().astype(np.uint8)).save(folders[0] / f"{name}.png")
        np.save(folders[1] / f"{name}.npy", noisy)
        rows.append((name, split, level, level[-2:], sigma, f"hash of {name} {level}"))
    table = pd.DataFrame(rows, columns=["name", "split", "level", "value", "sigma", "sha256"])
    table.to_csv("data/noisy/manifest.csv", index=False)
    return table[table["split"] == "test"]


def test_bm3d_report_has_the_shape_of_the_metrics(fixed_set, tmp_path, monkeypatch, photo, capsys):
    noisy, clean = pair(photo, 3)
    monkeypatch.setattr(bm3d, "load_bm3d", lambda: lambda noisy, sigma: noisy * (1 - sigma))
    bm3d.main(["--output", "out/bm3d.json"])
    report = json.loads((tmp_path / "out/bm3d.json").read_text())
    assert set(report["methods"]["bm3d"]) == {"sigma_25", "sigma_50"}
    expected = quality(noisy * (1 - SIGMA), clean)
    assert report["methods"]["bm3d"]["sigma_25"]["psnr"] == pytest.approx(expected, abs=1e-3)
    assert 0 < report["methods"]["bm3d"]["sigma_50"]["ssim"] < report["methods"]["bm3d"]["sigma_25"]["ssim"]
    assert report["mpx_per_s"]["bm3d"] > 0
    assert report["test_sha256"] == identify_test_set(fixed_set)
    assert "out/bm3d.json" in capsys.readouterr().out


def test_the_test_set_is_told_by_its_contents_not_their_order(fixed_set):
    assert identify_test_set(fixed_set) == identify_test_set(fixed_set[::-1])
    assert identify_test_set(fixed_set) != identify_test_set(fixed_set[1:])
    changed = fixed_set.replace("hash of a sigma_25", "another hash")
    assert identify_test_set(fixed_set) != identify_test_set(changed)


def test_bm3d_without_its_package_says_what_to_install_and_its_licence(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm3d", None)
    with pytest.raises(DegrainError, match=r"make bm3d, or pip install bm3d.*non-commercial"):
        bm3d.load_bm3d()
    with pytest.raises(SystemExit, match="non-commercial"):
        bm3d.main([])


def test_bm3d_without_a_test_set_says_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DegrainError, match=r"manifest.csv: not found.*dvc repro synthesize"):
        bm3d.measure_bm3d(lambda noisy, sigma: noisy)


@both_channels
def test_bm3d_itself_reduces_noise(photo, channels):
    pytest.importorskip("bm3d")
    noisy, clean = (image[:32, :40] for image in pair(photo, channels))
    restored = bm3d.load_bm3d()(noisy, SIGMA)
    assert restored.shape == noisy.shape
    assert restored.dtype == np.float32
    assert quality(restored, clean) > quality(noisy, clean) + 3

"""`degrain realism`: on two folders, and on what an evaluation left behind."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from PIL import Image

from degrain import cli
from degrain.errors import DataError
from degrain.evaluation import realism
from degrain.evaluation.realism import measure_realism, read_pairs
from degrain.evaluation.realism_report import compared
from degrain.files import sha256_file, write_image, write_json
from perceptual_support import blurred, judge, needs_perceptual, noisy

METHODS = {"noisy": 0.1, "gaussian": 0.06, "mean": 0.05, "pretrained": 0.03, "adversarial": 0.02}
PLAIN = {"psnr", "ms_ssim", "gmsd", "spectrum_distance", "two_sample_accuracy"}
DEEP = {"feature_distance", "frechet_distance"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Networks that are taught for two steps."""
    test = realism.two_sample_accuracy
    monkeypatch.setattr(realism, "two_sample_accuracy", lambda *pairs, **rest: test(*pairs, **rest, steps=2))


@pytest.fixture
def scenes(photo):
    return {"a": photo[:64, :80], "b": photo[64:, 80:]}


@pytest.fixture
def evaluated(scenes, tmp_path, monkeypatch):
    """A folder as `dvc repro` leaves it, with two levels."""
    summary = {}
    for name, sigma in METHODS.items():
        for level, factor in {"sigma_15": 1, "sigma_25": 2}.items():
            for scene, clean in scenes.items():
                write_image(
                    tmp_path / f"data/restored/{level}/{name}/{scene}.png", noisy(clean, sigma * factor)
                )
            psnr = 20.0 if (name, level) != ("gaussian", "sigma_25") else 21.0
            summary.setdefault(name, {})[level] = {"psnr": psnr, "ssim": 0.5}
    for scene, clean in scenes.items():
        write_image(tmp_path / f"data/raw/test/{scene}.png", clean)
    write_json(tmp_path / "reports/metrics.json", {"methods": summary})
    (tmp_path / "reports/results.csv").write_text("name,level,method,psnr,ssim\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_measure_is_there_and_perfect_for_clean_images(scenes):
    needs_perceptual()
    clean = list(scenes.values())
    values = measure_realism(clean, clean, judge=judge(), lpips=lambda one, other, *, data_range: 0.25)
    assert values == {
        "psnr": 100,
        "ms_ssim": 1,
        "gmsd": 0,
        "spectrum_distance": 0,
        "lpips": 0.25,
        "feature_distance": 0,
        "frechet_distance": pytest.approx(0, abs=1e-6),
        "two_sample_accuracy": 0.5,
    }


def test_without_a_judge_and_with_one_image_the_rest_is_measured(photo):
    assert measure_realism([photo], [photo], judge=None).keys() == PLAIN - {"two_sample_accuracy"}


def test_the_pipeline_report_compares_noisy_the_best_filter_and_the_generators(evaluated, capsys):
    needs_perceptual()
    assert cli.main(["realism", "--threads", "1"]) == 0
    report = json.loads((evaluated / "reports/realism.json").read_text())
    assert report["results_sha256"] == sha256_file(evaluated / "reports/results.csv")
    for level, best in {"sigma_15": "gaussian", "sigma_25": "gaussian"}.items():
        methods = report["levels"][level]
        assert list(methods) == ["noisy", best, "pretrained", "adversarial"]
        for measure in ("spectrum_distance", *DEEP):
            values = [methods[name][measure] for name in methods]
            assert values == sorted(values, reverse=True), measure  # less and less noise
        assert all(values.keys() == PLAIN | DEEP for values in methods.values())
    text = (evaluated / "reports/realism.md").read_text()
    assert capsys.readouterr().out == text
    assert "## sigma 25" in text
    assert "| method | PSNR, dB | MS-SSIM |" in text
    assert "| mean |" not in text
    assert text.count("| **degrain**, adversarial |") == 2


def test_the_best_filter_is_that_of_each_level():
    psnr = {"noisy": (1, 1), "mean": (2, 4), "median": (3, 3), "bm3d": (9, 9), "pretrained": (9, 9)}
    summary = {
        name: {"weak": {"psnr": weak, "ssim": 0.5}, "strong": {"psnr": strong, "ssim": 0.5}}
        for name, (weak, strong) in psnr.items()
    }
    assert compared(summary) == {
        "weak": ["noisy", "median", "pretrained", "adversarial"],
        "strong": ["noisy", "mean", "pretrained", "adversarial"],
    }


def test_before_any_evaluation_it_says_what_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["realism", "--threads", "1"]) == 2
    assert "no results yet; run `make repro`" in capsys.readouterr().err


def test_two_folders(scenes, tmp_path, capsys):
    (tmp_path / "restored/sub").mkdir(parents=True)
    for name, clean in scenes.items():
        write_image(tmp_path / f"clean/sub/{name}.png", clean)
        pixels = np.rint(blurred(clean, 1) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"restored/sub/{name}.tif")
    write_image(tmp_path / "clean/more.png", scenes["a"])  # was not restored
    folders = [str(tmp_path / "restored"), "--clean", str(tmp_path / "clean")]
    assert cli.main(["realism", *folders, "--threads", "1"]) == 0
    heading, line, row = capsys.readouterr().out.splitlines()
    assert heading.startswith("| method | PSNR, dB | MS-SSIM | GMSD | spectrum distance, dB |")
    assert row.startswith(f"| {tmp_path / 'restored'} |")
    assert heading.count("|") == line.count("|") == row.count("|")


def test_without_the_extra_it_measures_the_rest_and_says_so(evaluated, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    assert cli.main(["realism", "--threads", "1"]) == 0
    shown = capsys.readouterr()
    assert "without feature and Frechet distance, as efficientnet_lite_pytorch is not installed" in shown.err
    assert "pip install 'degrain[perceptual]'" in shown.err
    assert "two-sample accuracy |" in shown.out
    assert "feature distance" not in shown.out
    levels = json.loads((evaluated / "reports/realism.json").read_text())["levels"]
    assert levels["sigma_15"]["noisy"].keys() == PLAIN


def test_one_folder_alone_is_refused(tmp_path, capsys):
    assert cli.main(["realism", str(tmp_path)]) == 2
    assert cli.main(["realism", "--clean", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("expected FOLDER and --clean FOLDER, or neither") == 2


def test_lpips_that_is_not_there_is_an_error(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "lpips", None)
    assert cli.main(["realism", str(tmp_path), "--clean", str(tmp_path), "--lpips"]) == 2
    assert "pip install lpips torchvision" in capsys.readouterr().err


def test_images_that_do_not_pair_are_named(scenes, tmp_path):
    restored, clean = tmp_path / "restored", tmp_path / "clean"
    for folder in (restored, clean):
        folder.mkdir()
    with pytest.raises(DataError, match=r"restored: no images there"):
        read_pairs(restored, clean)
    write_image(restored / "a.png", scenes["a"])
    write_image(clean / "b.png", scenes["b"])
    with pytest.raises(DataError, match=r"a\.png: no clean image for it; expected .*clean/a with any suffix"):
        read_pairs(restored, clean)
    for other in (scenes["a"][:-1], scenes["a"][..., :1]):
        write_image(clean / "a.png", other)
        with pytest.raises(DataError, match=r"a\.png: \(64, 80, 3\), .*; expected one \(height, width, chan"):
            read_pairs(restored, clean)
    write_image(clean / "a.png", np.zeros((31, 64, 3), np.float32))
    write_image(restored / "a.png", np.zeros((31, 64, 3), np.float32))
    with pytest.raises(DataError, match="at least 32 pixels high and wide"):
        read_pairs(restored, clean)
    for folder in (restored, clean):
        write_image(folder / "a.png", scenes["a"])
        write_image(folder / "b.png", scenes["b"][..., :1])
    with pytest.raises(DataError, match=r"a\.png, .*b\.png: one is grey, the other in colour"):
        read_pairs(restored, clean)

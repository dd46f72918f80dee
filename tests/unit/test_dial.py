"""Networks between two end points."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from degrain import cli
from degrain.build.dial import load_between
from degrain.build.generator import build_generator, save_generator
from degrain.build.released import released_path
from degrain.data.noisy import Pair
from degrain.errors import DegrainError
from degrain.evaluation.dial import POSITIONS, dial_curve, log_dial, write_dial
from degrain.files import read_image, write_image
from degrain.metrics import psnr
from degrain.metrics.spectrum import spectrum_distance
from degrain.models.unet import made_stochastic
from degrain.restore import Restorer
from degrain.restorers import load_restorer
from training_support import CPU, trained_like


@pytest.fixture
def ends(make_params, tmp_path):
    section = make_params().model
    paths = [tmp_path / "faithful.safetensors", tmp_path / "realistic.safetensors"]
    networks = []
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        networks.append(trained_like(build_generator(section, 3)))
        save_generator(path, networks[-1], section, 3)
    return paths, networks


@pytest.mark.parametrize("dial", [0.0, 0.25, 1.0])
def test_weights_lie_on_the_line_between_the_end_points(ends, dial):
    paths, (faithful, realistic) = ends
    between, channels = load_between(*paths, dial)
    assert channels == 3
    for name, value in between.state_dict().items():
        expected = (1 - dial) * faithful.state_dict()[name] + dial * realistic.state_dict()[name]
        torch.testing.assert_close(value, expected)


def test_a_network_that_counts_its_batches_has_a_dial_too(make_params, tmp_path):
    section, path = make_params({"model": {"generator": "dncnn"}}).model, tmp_path / "one.safetensors"
    network = build_generator(section, 3)
    save_generator(path, network, section, 3)
    between, _ = load_between(path, path, 0.5)
    for name, value in between.state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[name])


def test_different_networks_and_a_dial_out_of_range_are_refused(ends, make_params, tmp_path):
    paths, _ = ends
    other, section = tmp_path / "other.safetensors", make_params({"model": {"generator": "dncnn"}}).model
    save_generator(other, build_generator(section, 3), section, 3)
    with pytest.raises(DegrainError, match="different networks"):
        load_between(paths[0], other, 0.5)
    with pytest.raises(DegrainError, match=r"dial = 1\.5; expected a number from 0"):
        load_between(*paths, 1.5)


def test_networks_of_one_shape_that_are_different_are_refused(make_params, tmp_path):
    paths = []
    for equivariant in (False, True):
        section = make_params({"model": {"unet": {"widths": [8, 16], "equivariant": equivariant}}}).model
        paths.append(tmp_path / f"{equivariant}.safetensors")
        save_generator(paths[-1], build_generator(section, 3), section, 3)
    with pytest.raises(DegrainError, match="different networks"):
        load_between(*paths, 0.5)


def test_ends_of_which_one_takes_z_and_the_other_cannot_are_refused(ends, make_params, tmp_path):
    (faithful, _), (network, _) = ends
    drawing, plain = tmp_path / "drawing.safetensors", tmp_path / "plain.safetensors"
    save_generator(drawing, made_stochastic(network), make_params().model, 3)
    with pytest.raises(DegrainError, match="the first takes noise z and the second does not"):
        load_between(drawing, faithful, 0.5)
    section = make_params({"model": {"generator": "dncnn"}}).model
    save_generator(plain, build_generator(section, 3), section, 3)
    with pytest.raises(DegrainError, match="different networks"):
        load_between(plain, drawing, 0.5)


# --- denoise ---


def restored_by(arguments, photo, folder):
    """What `degrain denoise` makes of a part of the photograph."""
    write_image(folder / "noisy.png", photo[:32, :40])
    code = cli.main(["denoise", str(folder / "noisy.png"), "-o", str(folder / "out"), *map(str, arguments)])
    return np.asarray(Image.open(folder / "out/noisy.png")) if code == 0 else code


def test_the_ends_of_the_dial_are_the_released_generators(photo, tmp_path):
    fixed = ["--sigma", 25, "--precision", "float32"]
    for end, dial in (("faithful", 0), ("realistic", 1)):
        by_name = restored_by(["--model", end, *fixed], photo, tmp_path)
        np.testing.assert_array_equal(restored_by(["--dial", dial, *fixed], photo, tmp_path), by_name)


def test_the_dial_turns_between_the_generators_of_a_pipeline(ends, photo, tmp_path):
    for path, stage in zip(ends[0], ("pretrain", "train"), strict=True):
        target = tmp_path / "models" / stage / "generator.safetensors"
        target.parent.mkdir(parents=True)
        path.rename(target)
    mine = load_restorer(str(tmp_path / "models"), CPU, dial=0.25)(photo[:32, :40], 0.1)
    faithful, realistic = (
        tmp_path / "models" / stage / "generator.safetensors" for stage in ("pretrain", "train")
    )
    expected = Restorer(*load_between(faithful, realistic, 0.25), CPU)(photo[:32, :40], 0.1)
    np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize("model", ["realistic", "models/train/generator.safetensors", "nowhere"])
def test_a_dial_needs_a_folder_with_two_generators(model, photo, tmp_path, capsys):
    assert restored_by(["--dial", 0.5, "--model", model], photo, tmp_path) == 2
    error = capsys.readouterr().err
    assert f"--model {model} with --dial 0.5: expected a folder with pretrain/ and train/ in it" in error


# --- evaluation ---


class Shown:
    """Restores perfectly at 0; at 1 it adds the detail of noise."""

    def __init__(self, clean, dial):
        self.clean, self.dial = clean, dial

    def __call__(self, noisy, sigma):
        return self.clean + self.dial * (noisy - self.clean)


class Set:
    """One pair at each of three levels."""

    levels = ("sigma_1", "sigma_2", "sigma_3")

    def __init__(self, clean):
        self.clean = clean

    def __iter__(self):
        noise = np.random.default_rng(0).normal(size=self.clean.shape).astype(np.float32)
        for number, level in enumerate(self.levels, start=1):
            yield Pair("a", level, number / 10, self.clean, self.clean + number / 10 * noise)


class Log:
    """Keeps what it is given, and asks for files that are there."""

    def __init__(self):
        self.points, self.files = {}, []

    def log_metrics(self, step, metrics):
        self.points[step] = metrics

    def log_artifact(self, path):
        assert path.is_file()
        self.files.append(path.name)


def test_the_curve_of_the_dial_is_of_the_middle_level_and_reaches_files_and_mlflow(photo, tmp_path):
    clean = np.rint(photo[:48, :40] * 255).astype(np.float32) / 255
    pairs = Set(clean)
    curve = dial_curve(pairs, lambda dial: Shown(clean, dial), tmp_path / "kept")
    np.testing.assert_array_equal(read_image(tmp_path / "kept/sigma_2/dial_0/a.png"), clean)
    assert len([*tmp_path.glob("kept/sigma_2/dial_*/a.png")]) == len(POSITIONS)
    assert list(curve["dial"]) == list(POSITIONS) == [0, 0.25, 0.5, 0.75, 1]
    assert set(curve["level"]) == {"sigma_2"}
    assert curve["psnr"].is_monotonic_decreasing
    assert curve["spectrum_distance"].is_monotonic_increasing
    assert curve["spectrum_distance"][0] == 0
    noisy = [pair.noisy for pair in pairs][1]
    assert curve["psnr"][4] == pytest.approx(psnr(noisy.clip(0, 1), clean, data_range=1.0), abs=0.02)

    write_dial(curve, tmp_path)
    assert list(pd.read_csv(tmp_path / "dial.csv")) == ["dial", "level", "psnr", "ssim", "spectrum_distance"]
    assert read_image(tmp_path / "dial.png").shape[2] == 3
    log = Log()
    log_dial(log, curve, tmp_path)
    assert list(log.points) == [0, 25, 50, 75, 100]
    assert log.points[100]["dial_psnr"] == curve["psnr"][4]
    assert log.files == ["dial.csv", "dial.png"]


def test_more_blur_and_more_noise_are_further_from_the_clean_spectrum(photo):
    noise = np.random.default_rng(0).normal(size=photo.shape)
    blurred = [gaussian_filter(photo, (width, width, 0)) for width in (0.0, 0.5, 1.0, 2.0)]
    noisy = [photo + sigma * noise for sigma in (0.0, 0.02, 0.1)]
    for worse in (blurred, noisy):
        distances = [spectrum_distance(image, photo, data_range=1.0) for image in worse]
        assert distances == sorted(distances)
        assert distances[0] < 1e-6
        assert distances[1] > 0.5


def test_the_distance_of_spectra_knows_scale_and_shape(photo):
    other = photo[::-1, :, :] * 0.9
    mine = spectrum_distance(photo, other, data_range=1.0)
    assert spectrum_distance(photo * 255, other * 255, data_range=255) == pytest.approx(mine)
    with pytest.raises(ValueError, match="expected the same"):
        spectrum_distance(photo, photo[:-1], data_range=1.0)


def test_released_generators_lie_on_a_rising_curve_of_realism(photo):
    noise = np.random.default_rng(0).normal(0, 25 / 255, photo.shape).astype(np.float32)
    distances = []
    for dial in (0.0, 0.5, 1.0):
        between = load_between(released_path("faithful", 3), released_path("realistic", 3), dial)
        restored = Restorer(*between, CPU)(photo + noise, 25 / 255)
        distances.append(spectrum_distance(restored, photo, data_range=1.0))
    assert distances == sorted(distances, reverse=True)

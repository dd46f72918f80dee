"""Where a noisy photograph lies beside its clean one is found, and the clean one moved there."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from scipy.ndimage import fourier_shift, gaussian_filter
from skimage.data import astronaut, chelsea, coffee
from skimage.io import imread

from degrain.check_params import Checks
from degrain.data import registration
from degrain.data.checks import check_images
from degrain.data.collect import SPLITS, collect
from degrain.data.registration import find_shift, measure_pair, register
from degrain.data.sources import list_sources
from degrain.errors import DataError
from degrain.files import read_rows

SIDE, MARGIN = 192, 32


def pair(shift, sigma_255=5.0, brighter=(0.0, 0.0, 0.0), place=0):
    """A photograph, and the same one `shift` further down and to the right with noise, both (SIDE, SIDE, 3).

    No value is near to black or white. It is moved by the phases of its spectrum, where the code under test
    reads a spline.
    """
    photo = (coffee, astronaut, chelsea)[place]()
    whole = photo[40 : 40 + SIDE + 2 * MARGIN, 150 : 150 + SIDE + 2 * MARGIN] / 2.0 + 64
    moved = [
        np.fft.ifft2(fourier_shift(np.fft.fft2(whole[..., channel]), shift)).real for channel in range(3)
    ]
    inner = slice(MARGIN, MARGIN + SIDE)
    noise = grain((SIDE, SIDE, 3), sigma_255)
    noisy = np.stack(moved, -1)[inner, inner] + noise + brighter
    return bytes_of(whole[inner, inner]), bytes_of(noisy)


def grain(shape, sigma_255, seed=3):
    return np.random.default_rng(seed).normal(0, sigma_255, shape)


def bytes_of(pixels):
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def difference(one, other):
    """Its standard deviation."""
    return (one.astype(float) - other).std()


@pytest.mark.parametrize("shift", [(0, 0), (0.3, -0.4), (-0.5, 0), (2, -1), (2.5, 3.25)])
@pytest.mark.parametrize("sigma_255", [0, 5, 15])
def test_the_shift_is_found_under_noise(shift, sigma_255):
    assert find_shift(*pair(shift, sigma_255)) == pytest.approx(shift, abs=0.1)


def test_of_an_empty_image_no_shift_is_told():
    empty = np.full((64, 64, 3), 90, np.uint8)
    noise = bytes_of(90 + grain(empty.shape, 10))
    assert find_shift(empty, noise) == (0, 0)
    assert find_shift(noise, empty) == (0, 0)


WALL = 120 + grain((128, 128, 3), 0.6, seed=1)
SHADING = np.broadcast_to(np.linspace(100, 160, 128)[:, None, None], (128, 128, 3))
HORIZON = np.where(SHADING > 125, 180.0, 80.0)


@pytest.mark.parametrize("scene", [WALL, SHADING, HORIZON], ids=["wall", "shading", "horizon"])
@pytest.mark.parametrize("blur_px", [0, 1.5])
def test_noise_does_not_pass_for_a_shift(scene, blur_px):
    for seed in range(10):
        noise = gaussian_filter(grain(scene.shape, 1, seed), (blur_px, blur_px, 0))
        noisy = scene + 15 * noise / noise.std()
        assert find_shift(bytes_of(scene), bytes_of(noisy)) == (0, 0)


def test_photographs_of_different_scenes_are_unlike():
    clean, _ = pair((0, 0))
    _, other = pair((0, 0), place=2)
    assert measure_pair(clean, other)["pair_unlike"] > 0.3
    assert measure_pair(*pair((0, 0), sigma_255=25))["pair_unlike"] < 0.05


def test_a_shift_too_large_to_put_right_is_told_and_left():
    clean, noisy = pair((MARGIN, 0), sigma_255=0)
    assert measure_pair(clean, noisy)["pair_shift_px"] == pytest.approx(MARGIN, abs=0.1)
    assert MARGIN > SIDE / 8
    np.testing.assert_array_equal(register(clean, noisy), (clean, noisy))


def test_clipped_noise_is_no_change_of_light():
    clean = bytes_of(np.where(coffee()[:192, :192] > 128, 255.0, 0.0))
    noisy = bytes_of(clean + grain(clean.shape, 25))
    assert abs(noisy.mean() - clean.mean()) > 1
    assert measure_pair(clean, noisy)["pair_brightness_255"] == 0
    np.testing.assert_array_equal(register(clean, noisy)[0], clean)


def test_large_images_get_the_brightness_of_the_photograph():
    clean = np.tile(coffee()[:256, :256], (8, 8, 1))
    np.testing.assert_array_equal(
        register(clean, np.minimum(clean, 250) + 5)[0][clean < 250], clean[clean < 250] + 5
    )


def test_digits_stay_as_they_are():
    clean = coffee()[:28, :28]
    noisy = bytes_of(clean + grain(clean.shape, 25) + 9)
    np.testing.assert_array_equal(register(clean, noisy), (clean, noisy))


@pytest.mark.parametrize("shift", [(0.3, -0.4), (-1.25, 2.5)])
def test_a_registered_pair_differs_by_its_noise_alone(shift):
    clean, noisy = pair(shift, sigma_255=5, brighter=(3, -2, 0))
    assert difference(clean, noisy) > 5.7
    moved, photograph = register(clean, noisy)
    assert difference(moved, photograph) == pytest.approx(5, abs=0.15)
    assert photograph.mean((0, 1)) == pytest.approx(moved.mean((0, 1)), abs=0.02)
    assert measure_pair(moved, photograph) == {
        "pair_shift_px": pytest.approx(0, abs=0.03),
        "pair_brightness_255": pytest.approx(0, abs=0.1),
        "pair_unlike": 0,
    }


def test_what_only_one_of_both_shows_is_cut_away_and_the_photograph_left_as_it_is():
    clean, noisy = pair((0.3, -1.25))
    moved, photograph = register(clean, noisy)
    assert moved.shape == photograph.shape == (SIDE - 1, SIDE - 2, 3)
    np.testing.assert_array_equal(photograph, noisy[1:, :-2])


def test_a_pair_that_lies_well_stays_as_it_is():
    clean, noisy = pair((0, 0), sigma_255=0)
    np.testing.assert_array_equal(register(clean, noisy), (clean, noisy))


def test_a_grey_pair_is_registered_too():
    clean, noisy = (image[..., :1] for image in pair((0.3, -0.4)))
    moved, photograph = register(clean, noisy)
    assert moved.shape == photograph.shape == (SIDE - 1, SIDE - 1, 1)
    assert difference(moved, photograph) < difference(clean, noisy)


def test_the_middle_of_a_large_image_tells(monkeypatch):
    clean, noisy = pair((0.3, -0.4))
    monkeypatch.setattr(registration, "MIDDLE_PX", 150)
    inner = slice((SIDE - 150) // 2, (SIDE + 150) // 2)
    assert find_shift(clean, noisy) == find_shift(clean[inner, inner], noisy[inner, inner]) != (0, 0)
    assert register(clean, noisy)[0].shape == (SIDE - 1, SIDE - 1, 3)


def test_the_measures_of_a_pair():
    assert measure_pair(*pair((3, -4), brighter=(0, -12, 2))) == {
        "pair_shift_px": pytest.approx(5, abs=0.1),
        "pair_brightness_255": pytest.approx(12, abs=0.2),
        "pair_unlike": 0,
    }


@pytest.fixture
def folders(tmp_path):
    """A folder with one pair for every split; the noisy test image lies half a pixel beside its clean one."""
    for number, split in enumerate(SPLITS):
        clean, noisy = pair((0.3, -0.4) if split == "test" else (0, 0), place=number)
        for part, pixels in (("clean", clean), ("noisy", noisy)):
            (tmp_path / split / part).mkdir(parents=True)
            PIL.Image.fromarray(pixels).save(tmp_path / split / part / "p.png")
    return tmp_path


@pytest.fixture
def check(folders, default_values):
    """Collect the pairs and check them, with limits that differ from the default ones."""

    def make(*, register_pairs=False, **limits):
        sources = list_sources({split: [f"folder:{folders / split}"] for split in SPLITS}, 3)
        raw = folders / "raw"
        collect(sources, raw, channels=3, min_side=SIDE - 1, register_pairs=register_pairs)
        limits = Checks(**default_values["data"]["checks"] | limits)
        return check_images(raw, folders / "checks", sources, limits)

    return make


def test_pairs_beside_each_other_are_told_and_what_to_do(folders, check):
    first, *more = check().splitlines()
    assert first == f"3 clean images checked; see {folders}/checks/summary.txt"
    shifts = pd.read_csv(folders / "checks/images.csv").set_index("split")["pair_shift_px"]
    assert shifts["test"] == pytest.approx(0.5, abs=0.05)
    assert shifts["train"] < 0.05
    assert more == [
        f"folder:{folders}/test (data.test): the noisy photographs lie {shifts['test']:.2g} px beside the "
        f"clean images (median; up to {shifts['test']:.2g} px), which no denoiser can foretell; "
        "data.register_pairs: true moves the clean ones"
    ]
    assert "Highest pair_shift_px; allowed: 1" in (folders / "checks/summary.txt").read_text()


def test_pairs_beyond_a_limit_are_refused_and_named(folders, check):
    with pytest.raises(DataError, match="register_pairs") as failure:
        check(pair_shift_px=0.25)
    line = str(failure.value).splitlines()[1]
    assert line.startswith(
        f"  {folders}/test/clean/p.png (test/p): beside its noisy photograph, pair_shift_px = 0.5"
    )
    assert line.endswith("expected at most 0.25")
    assert check(pair_shift_px=0.25, accept=["test/p"])


def test_pairs_of_different_scenes_are_refused(folders, check):
    paths = [folders / split / "noisy" / "p.png" for split in ("train", "test")]
    paths[0].rename(folders / "kept.png")
    paths[1].rename(paths[0])
    (folders / "kept.png").rename(paths[1])
    with pytest.raises(
        DataError, match="of another scene than its noisy photograph, pair_unlike = "
    ) as failure:
        check(register_pairs=True)
    assert {line.split("(")[1].split(")")[0] for line in str(failure.value).splitlines()[1:3]} == {
        "train/p",
        "test/p",
    }


def test_pairs_are_registered_where_that_is_set(folders, check):
    assert len(check(register_pairs=True, pair_shift_px=0.05).splitlines()) == 1
    given = (folders / "test" / part / "p.png" for part in ("clean", "noisy"))
    written = (folders / "raw" / part / "p.png" for part in ("test", "test_noisy"))
    np.testing.assert_array_equal([*map(imread, written)], register(*map(imread, given)))
    (row,) = (row for row in read_rows(folders / "raw/manifest.csv") if row["split"] == "test")
    assert (row["width"], row["height"]) == (str(SIDE - 1), str(SIDE - 1))


def test_images_without_a_noisy_photograph_have_no_such_measures(folders, check):
    for split in SPLITS:
        (folders / split / "clean").rename(folders / split / "images")
        shutil.rmtree(folders / split / "noisy")
    assert len(check(register_pairs=True).splitlines()) == 1
    assert "pair_shift_px" not in pd.read_csv(folders / "checks/images.csv")
    assert "pair" not in (folders / "checks/summary.txt").read_text()


def test_a_set_of_pairs_beside_one_without(folders, check):
    (folders / "train" / "clean").rename(folders / "train" / "images")
    shutil.rmtree(folders / "train" / "noisy")
    check()
    shifts = pd.read_csv(folders / "checks/images.csv").set_index("split")["pair_shift_px"]
    assert list(shifts.isna()) == [True, False, False]
    assert "NaN" not in (folders / "checks/summary.txt").read_text()


def test_a_copy_of_a_clean_image_is_found_though_its_photograph_lies_elsewhere(folders):
    for part in ("clean", "noisy"):
        pixels = imread(folders / "test" / part / "p.png")
        PIL.Image.fromarray(np.roll(pixels, 3, 0) if part == "noisy" else pixels).save(
            folders / "test" / part / "q.png"
        )
    sources = list_sources({split: [f"folder:{folders / split}"] for split in SPLITS}, 3)
    collect(sources, folders / "raw", channels=3, min_side=SIDE - 4, register_pairs=True)
    assert [row["name"] for row in read_rows(folders / "raw/rejected.csv")] == ["q"]

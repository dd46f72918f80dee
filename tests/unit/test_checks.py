"""What is refused as a clean image, and how it is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage.data import astronaut, chelsea, coffee

from degrain.check_params import Checks
from degrain.data.checks import check_images, measure
from degrain.data.collect import collect
from degrain.data.fetch import fetch, find_mirror
from degrain.data.sources import files_to_fetch, list_sources
from degrain.errors import DataError
from degrain.params import parse_params

SIDE = 64
PHOTOS = {"train": coffee, "val": chelsea, "test": astronaut}


@pytest.fixture
def folder(tmp_path):
    """A good photograph in each of the folders train, val and test."""
    for split in PHOTOS:
        (tmp_path / split).mkdir()
        save(tmp_path / split / "good.png", crop(split))
    return tmp_path


def crop(split, number=0):
    top, left = 40 * (number // 4), 110 * (number % 4)
    return PHOTOS[split]()[top : top + SIDE, left : left + SIDE]


def save(path, pixels):
    Image.fromarray(pixels).save(path)


def with_noise(pixels, sigma_255, seed=0):
    noise = np.random.default_rng(seed).normal(0, sigma_255, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


@pytest.fixture
def limits(default_values):
    """The default limits, with changes."""

    def make(**changes):
        return Checks(**default_values["data"]["checks"] | changes)

    return make


def check(folder, limits):
    sources = list_sources({split: [f"folder:{folder / split}"] for split in PHOTOS}, 3)
    collect(sources, folder / "raw", channels=3, min_side=16)
    return check_images(folder / "raw", folder / "checks", sources, limits)


def test_good_photographs_pass_and_each_has_a_row_with_its_measures(folder, limits):
    assert check(folder, limits()) == f"3 clean images checked; see {folder}/checks/summary.txt"
    table = pd.read_csv(folder / "checks/images.csv")
    assert list(table["path"]) == [f"{folder}/{split}/good.png" for split in PHOTOS]
    row, pixels = table.iloc[0], crop("train")
    assert (row["split"], row["name"], row["width"], row["height"]) == ("train", "good", SIDE, SIDE)
    assert row["brightness_255"] == pytest.approx(pixels.mean(), abs=0.05)
    assert row["contrast_255"] == pytest.approx(pixels.std(), abs=0.05)


def test_bad_images_are_all_named_with_what_is_wrong_and_what_to_do(folder, limits):
    save(folder / "train/grainy.png", with_noise(crop("train", 5), 25))
    save(folder / "train/night.png", np.zeros((SIDE, SIDE, 3), np.uint8))
    save(folder / "test/fog.png", np.full((SIDE, SIDE, 3), 90, np.uint8))
    with pytest.raises(DataError) as failure:
        check(folder, limits())
    lines = str(failure.value).splitlines()
    assert lines[1].startswith(f"  {folder}/train/grainy.png (train/grainy): noisy, noise_255 = 2")
    assert lines[1].endswith("expected at most 16")
    assert lines[2].startswith(f"  {folder}/train/night.png (train/night): black or burnt out, clipped = 1")
    assert lines[3] == f"  {folder}/test/fog.png (test/fog): empty, flat = 1, expected at most 0.95"
    assert "data.checks.accept" in lines[4]
    assert len(lines) == 5
    assert len(pd.read_csv(folder / "checks/images.csv")) == 6


def test_what_is_accepted_passes_and_nothing_else(folder, limits):
    save(folder / "train/night 1.png", np.zeros((SIDE, SIDE, 3), np.uint8))
    save(folder / "train/fog.png", np.full((SIDE, SIDE, 3), 90, np.uint8))
    with pytest.raises(DataError, match="train/fog") as failure:
        check(folder, limits(accept=["train/night_*"]))
    assert "night" not in str(failure.value)
    said = check(folder, limits(accept=["train/night_*", "train/fog", "train/good"]))
    assert said.startswith("5 clean images checked, 2 of them accepted beyond a limit;")


def test_a_set_that_is_noisy_as_a_whole_is_named_though_no_image_stands_out(folder, limits):
    for number in range(1, 9):
        save(folder / f"train/{number}.png", with_noise(crop("train", number), 8, seed=number))
    with pytest.raises(DataError) as failure:
        check(folder, limits())
    (line,) = str(failure.value).splitlines()[1:-1]
    assert line.startswith(f"  folder:{folder}/train (data.train): noisy as a whole, the median of noise_255")
    assert check(folder, limits(accept=["train/[1-8]"]))


def test_images_too_small_to_tell_are_measured_but_not_judged(folder, limits):
    save(folder / "train/digit.png", np.zeros((28, 28, 3), np.uint8))
    check(folder, limits())
    table = pd.read_csv(folder / "checks/images.csv").set_index("name")
    assert table.loc["digit", "clipped"] == 1


def test_a_long_list_ends_with_a_count_and_the_table(folder, limits):
    for number in range(1, 13):
        save(folder / f"train/{number}.png", np.full((SIDE, SIDE, 3), 10 * number, np.uint8))
    with pytest.raises(DataError, match=f"and 2 more, see {folder}/checks/images.csv"):
        check(folder, limits())


def test_the_summary_shows_the_sets_what_is_nearest_to_the_limits_and_what_was_left_out(folder, limits):
    save(folder / "train/again.png", crop("train"))
    save(folder / "train/soft.png", with_noise(crop("train", 5), 6))
    check(folder, limits())
    summary = (folder / "checks/summary.txt").read_text()
    highest = summary.partition("Highest noise_255; allowed: 16")[2].split("\n\n")[1].splitlines()
    assert highest[1].split()[:2] == ["train", "soft"]
    assert "duplicate of train/again" in summary
    assert f"folder:{folder}/train" in summary


def test_the_report_has_the_same_bytes_again(folder, limits):
    def report():
        check(folder, limits())
        return [path.read_bytes() for path in sorted((folder / "checks").iterdir())]

    assert report() == report()


@pytest.mark.parametrize("sigma_255", [18, 25, 50])
@pytest.mark.parametrize("split", PHOTOS)
def test_noise_above_the_limit_is_seen_in_every_photograph(split, sigma_255, limits):
    assert measure(crop(split))["noise_255"] < limits().typical_noise_255
    assert measure(with_noise(crop(split, 5), sigma_255))["noise_255"] > limits().noise_255


def test_misspelt_limits_are_named(default_values):
    values = default_values | {"data": default_values["data"] | {"checks": {"noise": 3}}}
    with pytest.raises(ValueError, match=r"data\.checks\.noise is not a setting"):
        parse_params(values)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(
    ("sets", "channels"),
    [
        ({"train": ["embedded"], "val": ["embedded"], "test": ["embedded"]}, 3),
        ({"train": ["embedded"], "val": ["embedded"], "test": ["embedded"]}, 1),
        ({"train": ["bsds500"], "val": ["bsds500"], "test": ["cbsd68"]}, 3),
        ({"train": ["train400"], "val": ["train400"], "test": ["set12", "bsd68"]}, 1),
        ({"train": ["polyu"], "val": ["polyu"], "test": ["polyu"]}, 3),
    ],
)
def test_known_sets_pass_with_the_default_limits(sets, channels, limits, tmp_path):
    sources = list_sources(sets, channels)
    fetched = fetch(files_to_fetch(sources), mirror=find_mirror(None))
    collect(sources, tmp_path / "raw", channels=channels, min_side=96, fetched=fetched)
    assert "clean images checked;" in check_images(tmp_path / "raw", tmp_path / "checks", sources, limits())

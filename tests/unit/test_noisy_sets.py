"""The fixed noisy sets: the same bytes whatever else is made with them."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from degrain.build.degrader import Degrader
from degrain.data.noisy import NoisySet, write_noisy
from degrain.data.synthesis import draw_contact_sheet, make_noisy_sets, make_patches
from degrain.files import read_image, sha256_file, write_image

LEVELS = ("sigma_15", "sigma_25", "sigma_50")


@pytest.fixture
def raw(tmp_path, photo):
    """Two validation and two test images of different sizes, and one to train on."""
    for number, place in enumerate(("val/b", "val/a", "test/c", "test/NA", "train/t")):
        write_image(tmp_path / "raw" / f"{place}.png", photo[number : number + 40, : 50 + number])
    return tmp_path / "raw"


@pytest.fixture
def degrader(make_params):
    return Degrader(make_params().noise)


def make(raw, folder, degrader, *, seed=0):
    make_noisy_sets(raw, folder, degrader.test_levels(), degrader.at, seed=seed)
    return folder


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.npy")}


def test_every_image_comes_at_every_level(raw, degrader, tmp_path):
    folder = make(raw, tmp_path / "noisy", degrader)
    names = {"val": ["a", "b"], "test": ["NA", "c"]}
    assert sorted(contents(folder)) == sorted(
        f"{split}/{level}/{name}.npy" for split in names for level in LEVELS for name in names[split]
    )
    for split, expected in names.items():
        pairs = NoisySet(split, noisy=folder, raw=raw)
        assert pairs.levels == list(LEVELS)
        assert len(pairs) == 6
        # The name of an image may look like a missing value.
        assert [(pair.level, pair.name) for pair in pairs] == [
            (lv, name) for lv in LEVELS for name in expected
        ]


def test_pairs_are_a_clean_image_and_noise_of_the_stated_level(raw, degrader, tmp_path):
    for pair in NoisySet("val", noisy=make(raw, tmp_path / "noisy", degrader), raw=raw):
        np.testing.assert_array_equal(pair.clean, read_image(raw / "val" / f"{pair.name}.png"))
        noise = pair.noisy - pair.clean
        assert pair.noisy.dtype == np.float32
        assert pair.sigma == pytest.approx(float(pair.level.removeprefix("sigma_")) / 255)
        assert noise.std() == pytest.approx(pair.sigma, rel=0.05)
        assert abs(noise.mean()) < 0.06 * pair.sigma


def test_the_manifest_tells_the_truth(raw, degrader, tmp_path):
    folder = make(raw, tmp_path / "noisy", degrader)
    table = pd.read_csv(folder / "manifest.csv", keep_default_na=False)
    assert list(table) == ["name", "split", "level", "value", "sigma", "sha256"]
    assert len(table) == 12
    for row in table.itertuples():
        assert sha256_file(folder / row.split / row.level / f"{row.name}.npy") == row.sha256
        assert row.sigma == pytest.approx(row.value / 255)


def test_images_and_levels_have_noise_of_their_own(raw, degrader, tmp_path):
    shutil.copy(raw / "test" / "c.png", raw / "test" / "d.png")
    pairs = {
        (p.level, p.name): p for p in NoisySet("test", noisy=make(raw, tmp_path / "noisy", degrader), raw=raw)
    }
    noise = {key: (pair.noisy - pair.clean) / pair.sigma for key, pair in pairs.items()}
    for other in (("sigma_25", "d"), ("sigma_50", "c")):
        correlation = np.corrcoef(noise["sigma_25", "c"].ravel(), noise[other].ravel())[0, 1]
        assert abs(correlation) < 0.05


def test_bytes_do_not_depend_on_the_order_or_company_of_images(raw, degrader, tmp_path):
    together = contents(make(raw, tmp_path / "noisy", degrader))
    levels = degrader.test_levels()
    apart = tmp_path / "apart"
    for path in sorted(raw.rglob("*.png"), reverse=True):
        if (split := path.parent.name) != "train":
            for level in reversed(levels):
                list(write_noisy(path, split, [level], degrader.at, apart, seed=0))
    assert contents(apart) == together


def test_making_them_again_gives_the_same_bytes_and_another_seed_others(raw, degrader, tmp_path):
    first, again = (make(raw, tmp_path / name, degrader) for name in ("first", "again"))
    assert contents(first) == contents(again)
    assert (first / "manifest.csv").read_bytes() == (again / "manifest.csv").read_bytes()
    other = contents(make(raw, tmp_path / "other", degrader, seed=1))
    assert all(other[name] != data for name, data in contents(first).items())


@pytest.mark.parametrize("quantize", [True, False])
def test_quantised_sets_are_what_8_bits_hold_and_others_are_not_clipped(make_params, raw, tmp_path, quantize):
    degrader = Degrader(make_params({"noise": {"quantize": quantize}}).noise)
    noisy = np.concatenate(
        [
            pair.noisy.ravel()
            for pair in NoisySet("test", noisy=make(raw, tmp_path / "noisy", degrader), raw=raw)
        ]
    )
    steps = noisy.astype(np.float64) * 255
    if quantize:
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
        assert (noisy.min(), noisy.max()) == (0, 1)
    else:
        assert np.abs(steps - np.rint(steps)).max() > 0.4
        assert noisy.min() < 0


def test_patches_are_cut_from_the_training_images_alone(raw, make_params, tmp_path):
    section = make_params().patches.model_copy(update={"side_px": 16, "stride": 16, "scales": (1.0,)})
    count = make_patches(raw, tmp_path / "patches", section)
    stored = np.load(tmp_path / "patches" / "train_000.npy")
    assert count == len(stored) == 3 * 4
    image = np.rint(read_image(raw / "train" / "t.png") * 255).astype(np.uint8)
    np.testing.assert_array_equal(stored[0], image[:16, :16])


def test_the_contact_sheet_has_the_same_bytes_every_time(raw, degrader, tmp_path):
    noisy = make(raw, tmp_path / "noisy", degrader)
    for name in ("one.png", "two.png"):
        draw_contact_sheet(raw, noisy, tmp_path / name, crop=32)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    height, width, _ = read_image(tmp_path / "one.png").shape
    assert height > width * 0.9  # four rows of a clean and three noisy pictures

"""Real noisy photographs, from a folder of pairs to batches and fixed sets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from degrain.build.degrader import Degrader
from degrain.data.augment import turn
from degrain.data.collect import collect
from degrain.data.noisy import NoisySet
from degrain.data.pairs import make_pair_patches, make_pair_sets
from degrain.data.patches import PairDataset
from degrain.data.sources import list_sources
from degrain.data.synthesis import draw_contact_sheet
from degrain.errors import DataError
from degrain.evaluation.measure import measure
from degrain.evaluation.methods import methods_by_level
from degrain.evaluation.pictures import restored_image
from degrain.evaluation.report import draw_pictures, write_results
from degrain.files import read_image, read_rows, sha256_file, write_image
from degrain.noise_level import noise_level
from degrain.params import ParamsError

RNG = np.random.default_rng(5)
WINDOWS = {"train": [(0, 0)], "val": [(0, 90)], "test": [(64, 0), (64, 80)]}


@pytest.fixture
def folders(tmp_path, photo):
    """A folder of pairs for every split: parts of a photograph, noisy by 20 / 255."""
    for split, places in WINDOWS.items():
        for number, (y, x) in enumerate(places):
            clean = photo[y : y + 60, x : x + 70]
            noisy = clean + RNG.normal(0, 20 / 255, clean.shape).astype(np.float32)
            for part, image in (("clean", clean), ("noisy", noisy)):
                (tmp_path / split / part).mkdir(parents=True, exist_ok=True)
                write_image(tmp_path / split / part / f"p{number}.png", image)
    return tmp_path


@pytest.fixture
def raw(folders):
    return collected(folders)


def collected(folders, min_side=32):
    sources = list_sources({split: [f"folder:{folders / split}"] for split in WINDOWS}, 3)
    collect(sources, folders / "raw", channels=3, min_side=min_side)
    return folders / "raw"


def settings(make_params, **changes):
    return make_params().patches.model_copy(update={"side_px": 32, "stride": 14, **changes})


def test_clean_and_noisy_images_lie_side_by_side(folders, raw):
    for split, places in WINDOWS.items():
        for number in range(len(places)):
            for part, place in (("clean", split), ("noisy", f"{split}_noisy")):
                written = read_image(raw / place / f"p{number}.png")
                np.testing.assert_array_equal(written, read_image(folders / split / part / f"p{number}.png"))
    for row in read_rows(raw / "manifest.csv"):
        assert sha256_file(raw / f"{row['split']}_noisy" / f"{row['name']}.png") == row["noisy_sha256"]


def test_a_pair_is_rejected_as_a_whole(folders):
    broken = folders / "test" / "noisy" / "p0.png"
    broken.write_bytes(broken.read_bytes()[:200])
    write_image(folders / "train" / "clean" / "q.png", RNG.random((40, 40, 3), dtype=np.float32))
    write_image(folders / "train" / "noisy" / "q.png", RNG.random((40, 41, 3), dtype=np.float32))
    raw = collected(folders)
    reasons = {row["name"]: row["reason"] for row in read_rows(raw / "rejected.csv")}
    assert reasons.keys() == {"p0", "q"}
    assert reasons["q"] == "40x40 pixels, but the noisy one 41x40"
    for split, name in (("test", "p0"), ("train", "q")):
        assert not (raw / split / f"{name}.png").exists()
        assert not (raw / f"{split}_noisy" / f"{name}.png").exists()


def test_a_copy_goes_with_its_noisy_half(folders):
    for part in ("clean", "noisy"):
        Image.open(folders / "test" / part / "p0.png").save(folders / "train" / part / "copy.png")
    raw = collected(folders)
    assert [row["name"] for row in read_rows(raw / "rejected.csv")] == ["copy"]
    assert not (raw / "train" / "copy.png").exists()
    assert not (raw / "train_noisy" / "copy.png").exists()


def test_fixed_sets_are_the_real_images_at_one_level(raw, tmp_path):
    make_pair_sets(raw, tmp_path / "noisy")
    for split, places in WINDOWS.items():
        pairs = NoisySet(split, noisy=tmp_path / "noisy", raw=raw)
        assert len(pairs) == (0 if split == "train" else len(places))
        for pair in pairs:
            assert pair.level == "real"
            np.testing.assert_array_equal(pair.clean, read_image(raw / split / f"{pair.name}.png"))
            np.testing.assert_array_equal(pair.noisy, read_image(raw / f"{split}_noisy" / f"{pair.name}.png"))
            assert pair.noisy.dtype == np.float32
            assert pair.sigma == pytest.approx(20 / 255, rel=0.25)
    rows = pd.read_csv(tmp_path / "noisy" / "manifest.csv")
    assert rows["value"].isna().all()


def test_the_noise_level_is_told_from_the_noisy_image_alone(raw, tmp_path, make_params):
    for split in WINDOWS:
        for path in (raw / split).iterdir():
            write_image(path, np.zeros_like(read_image(path)))  # whatever the truth is
    make_pair_sets(raw, tmp_path / "noisy")
    for pair in NoisySet("test", noisy=tmp_path / "noisy", raw=raw):
        assert pair.sigma == pytest.approx(noise_level(pair.noisy))
    make_pair_patches(raw, tmp_path / "patches", settings(make_params))
    expected = noise_level(read_image(raw / "train_noisy" / "p0.png"))
    np.testing.assert_allclose(np.load(tmp_path / "patches" / "sigma.npy"), expected, rtol=1e-6)


def test_crops_of_both_are_cut_at_one_place_and_turned_alike(tmp_path, raw, make_params):
    # A noisy image that is the clean one upside down in brightness tells where each crop is from.
    clean = RNG.integers(0, 256, (48, 50, 3), dtype=np.uint8)
    for place, pixels in (("train", clean), ("train_noisy", 255 - clean)):
        Image.fromarray(pixels).save(raw / place / "p0.png")
    count = make_pair_patches(raw, tmp_path / "patches", settings(make_params, scales=(1.0, 0.5)))
    assert count == 3 * 3  # full size only
    data = PairDataset(tmp_path / "patches", batch_size=64, crop=16, seed="0")
    windows = {
        turn(clean[y : y + 16, x : x + 16], symmetry).tobytes()
        for y in range(33)
        for x in range(35)
        for symmetry in range(8)
    }
    batch = data.batch(3)
    assert batch.clean.shape == batch.noisy.shape == (64, 3, 16, 16)
    torch.testing.assert_close(batch.noisy, 1 - batch.clean)
    seen = batch.clean.mul(255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    assert all(crop.tobytes() in windows for crop in seen)
    assert len({crop.tobytes() for crop in seen}) > 50


def test_each_crop_comes_with_the_level_of_its_image(tmp_path, raw, make_params):
    for number, value in enumerate((0, 255)):
        noisy = np.full((40, 40, 3), value, np.uint8) ^ RNG.integers(
            0, 20 + 60 * number, (40, 40, 3), np.uint8
        )
        for place in ("train", "train_noisy"):
            Image.fromarray(noisy).save(raw / place / f"p{number}.png")
    make_pair_patches(raw, tmp_path / "patches", settings(make_params))
    levels = [noise_level(read_image(raw / "train_noisy" / f"p{number}.png")) for number in (0, 1)]
    batch = PairDataset(tmp_path / "patches", batch_size=32, crop=16, seed="0").batch(0)
    expected = [levels[int(image.mean() > 0.5)] for image in batch.noisy]
    np.testing.assert_allclose(batch.sigma.numpy(), expected, rtol=1e-6)
    assert levels[1] > 2 * levels[0]
    assert len(set(expected)) == 2


def test_a_batch_of_pairs_depends_on_seed_and_step_alone(tmp_path, raw, make_params):
    make_pair_patches(raw, tmp_path / "patches", settings(make_params))
    one, other = (PairDataset(tmp_path / "patches", batch_size=4, crop=16, seed="0") for _ in range(2))
    other.batch(1)
    for name in ("clean", "noisy", "sigma"):
        assert torch.equal(getattr(one.batch(2), name), getattr(other.batch(2), name))
    assert not torch.equal(one.batch(2).clean, one.batch(3).clean)


def test_images_without_a_noisy_one_are_named(raw, tmp_path, make_params):
    (raw / "val_noisy" / "p0.png").unlink()
    with pytest.raises(
        DataError, match=r"data\.val: 1 of 1 images have no real noisy photograph, such as .*p0"
    ):
        make_pair_sets(raw, tmp_path / "noisy")
    (raw / "train_noisy" / "p0.png").unlink()
    with pytest.raises(DataError, match=r"data\.train: 1 of 1 .* polyu, cc15"):
        make_pair_patches(raw, tmp_path / "patches", settings(make_params))


def test_results_tables_and_pictures_know_the_level_real(raw, tmp_path):
    make_pair_sets(raw, tmp_path / "noisy")
    val, test = (NoisySet(split, noisy=tmp_path / "noisy", raw=raw) for split in ("val", "test"))
    networks = dict.fromkeys(("pretrained", "adversarial"), lambda noisy, sigma: noisy * 0.9)
    results = measure(test, methods_by_level(val, networks), tmp_path / "restored")
    summary = write_results(results, tmp_path, test)
    assert all(list(levels) == ["real"] for levels in summary.values())
    assert (tmp_path / "table.md").read_text().startswith("| method | real |\n")
    draw_pictures(test, summary, tmp_path / "restored", tmp_path / "pictures", zoom_px=16)
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["p0_real.png", "p1_real.png"]
    assert restored_image(tmp_path / "restored", "real", "median", "p0").shape == (60, 70, 3)
    draw_contact_sheet(raw, tmp_path / "noisy", tmp_path / "sheet.png", crop=32)
    assert (tmp_path / "sheet.png").is_file()


# --- params ---

POLYU = {"train": "polyu", "val": "polyu", "test": ["polyu", "cc15"]}


def test_pairs_are_asked_for_where_the_noise_is_real(make_params):
    assert make_params({"noise": {"kind": "pairs"}, "data": POLYU}).noise.tests_on_pairs
    half = {"noise": {"real_test": True}, "data": POLYU | {"train": "bsds500"}}
    assert make_params(half).noise.tests_on_pairs
    assert make_params({"noise": {"kind": "pairs"}, "data": POLYU | {"train": "folder:mine"}})
    assert not make_params({"data": POLYU}).noise.tests_on_pairs
    with pytest.raises(
        ParamsError, match=r"data\.train: bsds500 has no real noisy photographs .*kind: pairs"
    ):
        make_params({"noise": {"kind": "pairs"}, "data": POLYU | {"train": "bsds500"}})
    with pytest.raises(ParamsError, match=r"data\.val: embedded has no .* noise\.real_test: true asks for"):
        make_params({"noise": {"real_test": True}, "data": POLYU | {"val": "embedded"}})


def test_real_noise_is_no_model_and_no_link_of_a_chain(make_params):
    params = make_params({"noise": {"kind": "pairs"}, "data": POLYU})
    with pytest.raises(ValueError, match="real noise cannot be drawn"):
        Degrader(params.noise)
    with pytest.raises(ParamsError, match=r"noise\.chain\.kinds\[0\] = 'pairs'; expected one of: gaussian"):
        make_params({"noise": {"chain": {"kinds": ["pairs"]}}})

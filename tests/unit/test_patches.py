"""Training patches: cut once, drawn by (seed, step) alone."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
import torch

from degrain.build.degrader import Degrader
from degrain.data import patches as module
from degrain.data.augment import turn
from degrain.data.patches import PatchDataset, cut_patches, rescale, write_shards

RNG = np.random.default_rng(0)


def numbered(height, width):
    """An image whose pixels are all different: (H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, (y * 7 + x * 13) % 256], axis=2).astype(np.uint8)


def section(make_params, **changes):
    return make_params().patches.model_copy(update={"scales": (1.0,), **changes})


def clean_only(clean, *, generator):
    return clean, torch.zeros(len(clean))


def dataset(folder, patches, *, degrade=clean_only, batch_size=4, crop=8, seed="0", jitter=0.0):
    write_shards(patches, folder)
    return PatchDataset(
        folder,
        degrade,
        batch_size=batch_size,
        crop=crop,
        colour_jitter=jitter,
        seed=seed,
    )


def same_batches(one, other):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("clean", "noisy", "sigma"))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (64, 40), (100, 75)])
@pytest.mark.parametrize("stride", [7, 24, 32])
def test_patches_cover_every_pixel(make_params, height, width, stride):
    image = numbered(height, width)
    cuts = cut_patches(image, section(make_params, side_px=32, stride=stride))
    assert cuts.shape[1:] == (32, 32, 3)
    seen = {tuple(place) for cut in cuts for place in cut[..., :2].reshape(-1, 2)}
    assert seen == {(y, x) for y in range(height) for x in range(width)}
    assert len({cut.tobytes() for cut in cuts}) == len(cuts)
    assert len(cuts) == np.prod([-(-(side - 32) // stride) + 1 for side in (height, width)])


def test_images_smaller_than_a_patch_give_none(make_params):
    assert cut_patches(numbered(31, 64), section(make_params, side_px=32)).shape == (0, 32, 32, 3)


def test_images_are_cut_at_every_scale_that_fits(make_params):
    image = numbered(64, 96)
    scales = section(make_params, side_px=32, stride=32, scales=(1.0, 0.5, 0.25))
    cuts = cut_patches(image, scales)
    assert len(cuts) == 2 * 3 + 1 * 2
    np.testing.assert_array_equal(cuts[0], image[:32, :32])
    # Half the size: twice the slope, the same range.
    assert np.diff(cuts[-1][:, 5, 0].astype(int)).mean() == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("channels", [1, 3])
def test_shrinking_keeps_a_flat_image_flat(channels):
    image = np.full((40, 60, channels), 77, np.uint8)
    np.testing.assert_array_equal(rescale(image, 0.5), image[:20, :30])


def test_shards_hold_every_patch_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 3 * 8 * 8)
    groups = [RNG.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8) for count in (2, 2, 0, 5, 1)]
    assert write_shards(groups, tmp_path) == 10
    index = json.loads((tmp_path / "index.json").read_text())
    assert [shard["patches"] for shard in index["shards"]] == [4, 5, 1]
    stored = [np.load(tmp_path / shard["file"]) for shard in index["shards"]]
    np.testing.assert_array_equal(np.concatenate(stored), np.concatenate(groups))


def test_every_patch_of_every_shard_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 1)
    values = [np.full((count, 8, 8, 1), 10 * start, np.uint8) for start, count in enumerate((1, 3, 2), 1)]
    for group in values:
        group += np.arange(len(group), dtype=np.uint8)[:, None, None, None]
    data = dataset(tmp_path, values, batch_size=30)
    assert [len(shard) for shard in data.shards] == [1, 3, 2]
    assert len(data) == 6
    seen = torch.cat([data.batch(step).clean for step in range(20)]).mul(255).round()[:, 0, 0, 0]
    counts = {int(value): int((seen == value).sum()) for value in seen.unique()}
    assert sorted(counts) == [10, 20, 21, 22, 30, 31]
    assert min(counts.values()) > 60  # of 100 expected


def test_a_batch_depends_on_seed_and_step_alone(tmp_path, make_params):
    degrade = Degrader(make_params().noise)
    patches = [RNG.integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)]
    one, other = (dataset(tmp_path / name, patches, degrade=degrade) for name in "ab")
    expected = [one.batch(step) for step in range(5)]
    torch.manual_seed(99)
    torch.rand(7)
    for step in (4, 0, 3, 3, 1):
        assert same_batches(other.batch(step), expected[step])
    for one_step, other_step in combinations(range(5), 2):
        assert not torch.equal(expected[one_step].clean, expected[other_step].clean)
        assert not torch.equal(expected[one_step].sigma, expected[other_step].sigma)
    another = dataset(tmp_path / "c", patches, degrade=degrade, seed="1")
    assert not torch.equal(another.batch(0).clean, expected[0].clean)


@pytest.mark.parametrize(("start", "stop"), [(0, 7), (4, 7), (5, 6), (3, 3)])
def test_batches_prepared_ahead_are_the_same(tmp_path, make_params, start, stop):
    patches = [RNG.integers(0, 256, (9, 16, 16, 1), dtype=np.uint8)]
    data = dataset(tmp_path, patches, degrade=Degrader(make_params().noise))
    ahead = list(data.batches(start, stop))
    assert len(ahead) == stop - start
    assert all(same_batches(batch, data.batch(step)) for step, batch in enumerate(ahead, start))


def test_an_error_while_preparing_ahead_is_not_lost(tmp_path):
    def broken(clean, *, generator):
        msg = "no noise today"
        raise RuntimeError(msg)

    data = dataset(tmp_path, [numbered(8, 8)[None]], degrade=broken)
    with pytest.raises(RuntimeError, match="no noise today"):
        next(data.batches(0, 9))


def test_crops_are_windows_of_a_patch_in_every_place_and_orientation(tmp_path):
    patch = numbered(6, 6)
    data = dataset(tmp_path, [patch[None]], batch_size=64, crop=4)
    places = [(y, x) for y in range(3) for x in range(3)]
    windows = {
        turn(patch[y : y + 4, x : x + 4], symmetry).tobytes(): (y, x, symmetry)
        for y, x in places
        for symmetry in range(8)
    }
    assert len(windows) == 72
    drawn = torch.cat([data.batch(step).clean for step in range(16)])
    bytes_ = drawn.mul(255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    found = [windows.get(crop.tobytes()) for crop in bytes_]
    assert set(found) == set(windows.values())


def test_a_crop_may_be_the_whole_patch(tmp_path):
    patch = numbered(8, 8)
    clean = dataset(tmp_path, [patch[None]], crop=8).batch(0).clean
    assert clean.shape == (4, 3, 8, 8)
    assert sorted(clean[0].mul(255).flatten().tolist()) == pytest.approx(sorted(patch.flatten().tolist()))


def test_training_levels_are_spread_over_their_range(tmp_path, make_params):
    params = make_params({"noise": {"gaussian": {"train": [10, 50]}}})
    patches = [RNG.integers(0, 256, (9, 16, 16, 1), dtype=np.uint8)]
    data = dataset(tmp_path, patches, degrade=Degrader(params.noise), batch_size=128, crop=16)
    batch = data.batch(0)
    assert 10 / 255 <= batch.sigma.min() < 13 / 255
    assert 47 / 255 < batch.sigma.max() <= 50 / 255
    measured = (batch.noisy - batch.clean).square().flatten(1).mean(1).sqrt()
    torch.testing.assert_close(measured, batch.sigma, rtol=0.25, atol=0)
    assert 0 <= batch.clean.min() < batch.clean.max() <= 1
    assert batch.noisy.max() > 1  # not clipped


def test_colours_change_before_the_noise(tmp_path):
    patch = numbered(8, 8)
    same, changed = (dataset(tmp_path / str(j), [patch[None]], jitter=j).batch(0).clean for j in (0.0, 0.4))
    assert not torch.equal(same, changed)
    assert 0 <= changed.min() < changed.max() <= 1

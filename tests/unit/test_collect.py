from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageEnhance, ImageOps
from skimage.data import coffee

from degrain.data.collect import collect
from degrain.data.duplicates import look, nearest
from degrain.data.embedded import PHOTOGRAPHS, locate
from degrain.data.fetch import fetch
from degrain.data.marks import MarkIndex, find_marks
from degrain.data.sources import files_to_fetch, list_sources
from degrain.errors import DataError
from degrain.files import read_image, read_rows, sha256_file
from degrain.standard_sets import STANDARD_SETS

RNG = np.random.default_rng(3)
SPLITS = ("train", "val", "test")


def texture(seed, side=64):
    """An image that is like no other."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    """Folders train, val and test with an image each."""
    for seed, split in enumerate(SPLITS):
        (tmp_path / split).mkdir()
        texture(seed).save(tmp_path / split / "first.png")
    return tmp_path


def run(folder, channels=3, min_side=32):
    """Collect; returns the summary, and the reasons by split/name."""
    sources = list_sources({split: [f"folder:{folder / split}"] for split in SPLITS}, channels)
    collected = collect(sources, folder / "raw", channels=channels, min_side=min_side)
    rejected = read_rows(folder / "raw" / "rejected.csv")
    return collected, {f"{row['split']}/{row['name']}": row["reason"] for row in rejected}


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def test_every_image_is_written_and_stands_in_the_manifest(folder):
    for seed, split in enumerate(SPLITS, start=10):
        (folder / split / "sub").mkdir()
        texture(seed, 40).save(folder / split / "sub" / "b.jpg")
    collected, rejected = run(folder)
    raw = folder / "raw"
    assert rejected == {}
    assert str(collected) == "2 train, 2 val, 2 test images; none rejected"
    assert files(raw) == sorted(f"{split}/{name}.png" for split in SPLITS for name in ("first", "sub_b"))
    manifest = read_rows(raw / "manifest.csv")
    assert [(row["split"], row["name"]) for row in manifest] == [
        (s, n) for s in SPLITS for n in ("first", "sub_b")
    ]
    for row in manifest:
        path = raw / row["split"] / f"{row['name']}.png"
        assert sha256_file(path) == row["sha256"]
        image = read_image(path)
        assert image.shape == (int(row["height"]), int(row["width"]), int(row["channels"]))
    np.testing.assert_array_equal(read_image(raw / "train" / "first.png") * 255, np.asarray(texture(0)))


def test_the_same_sources_give_the_same_bytes_again(folder):
    run(folder)
    raw = folder / "raw"
    before = {path: path.read_bytes() for path in raw.rglob("*") if path.is_file()}
    (raw / "train" / "stale.png").write_bytes(b"from an earlier run")
    run(folder)
    assert {path: path.read_bytes() for path in raw.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_every_kind_become_8_bits_of_the_channels_wanted(folder, channels):
    deep = RNG.integers(0, 65536, (40, 48, 3), dtype=np.uint16)
    tifffile.imwrite(folder / "train" / "deep.tif", deep, photometric="rgb")
    texture(10).convert("CMYK").save(folder / "train" / "inks.jpg")
    texture(11).convert("LA").save(folder / "train" / "grey.png")
    texture(12).quantize(32).save(folder / "train" / "palette.png", transparency=0)
    turned = Image.Exif()
    turned[0x112] = 6
    texture(13).crop((0, 0, 40, 64)).save(folder / "train" / "turned.webp", exif=turned)
    collected, rejected = run(folder, channels)
    assert rejected == {}
    assert collected.counts["train"] == 6
    for path in (folder / "raw" / "train").iterdir():
        with Image.open(path) as image:
            assert image.mode == ("RGB" if channels == 3 else "L")
    assert read_image(folder / "raw" / "train" / "turned.png").shape == (40, 64, channels)
    if channels == 3:
        written = read_image(folder / "raw" / "train" / "deep.png")
        np.testing.assert_allclose(written, deep / 65535, atol=0.5 / 255 + 1e-6)


def test_unusable_files_are_named_with_the_reason_and_lose_no_other(folder):
    train = folder / "train"
    texture(20, 40).save(train / "broken.png")
    (train / "broken.png").write_bytes((train / "broken.png").read_bytes()[:-40])
    (train / "page.jpg").write_text("<html>404</html>")
    (train / "empty.png").touch()
    (train / "link.png").symlink_to(folder / "gone.png")
    texture(21, 31).save(train / "tiny.png")
    collected, rejected = run(folder)
    assert rejected == {
        "train/broken": "truncated PNG",
        "train/page": "not a PNG, JPEG, WebP or TIFF image",
        "train/empty": "empty file",
        "train/link": "no such file",
        "train/tiny": "31x31 pixels; expected sides of at least data.min_side = 32",
    }
    assert str(collected) == f"1 train, 1 val, 1 test images; 5 rejected, see {folder}/raw/rejected.csv"
    assert files(folder / "raw") == ["test/first.png", "train/first.png", "val/first.png"]
    paths = {row["path"] for row in read_rows(folder / "raw" / "rejected.csv")}
    assert f"{train}/broken.png" in paths


def test_an_image_just_large_enough_is_kept(folder):
    texture(21, 32).save(folder / "train" / "small.png")
    assert run(folder)[1] == {}


def test_a_file_that_changed_since_it_was_listed_is_rejected(folder):
    texture(22).save(folder / "train" / "x.png")
    sources = list_sources({split: [f"folder:{folder / split}"] for split in SPLITS}, 3)
    texture(23).save(folder / "train" / "x.png")
    collect(sources, folder / "raw", channels=3, min_side=32)
    (row,) = read_rows(folder / "raw" / "rejected.csv")
    assert row["reason"] == "changed since it was listed; run the pipeline again"


def test_the_same_pixels_in_another_file_are_a_duplicate(folder):
    texture(0).save(folder / "train" / "second.tif", compression="tiff_lzw")
    assert run(folder)[1] == {"train/second": "duplicate of train/first"}


def test_duplicates_across_splits_are_kept_where_they_are_measured_on(folder):
    texture(2).save(folder / "train" / "a.png")
    texture(2).save(folder / "val" / "b.webp", lossless=True)
    texture(1).save(folder / "train" / "c.tif")
    assert run(folder)[1] == {
        "train/a": "duplicate of test/first",
        "val/b": "duplicate of test/first",
        "train/c": "duplicate of val/first",
    }
    assert files(folder / "raw") == ["test/first.png", "train/first.png", "val/first.png"]


def test_near_duplicates_across_splits_are_leakage_and_within_one_are_not(folder):
    photo = Image.fromarray(coffee()).crop((100, 50, 400, 350))
    photo.save(folder / "test" / "photo.png")
    photo.resize((150, 150)).save(folder / "test" / "smaller.png")
    photo.resize((200, 200)).save(folder / "train" / "a.jpg", quality=40)
    ImageEnhance.Brightness(photo).enhance(1.1).save(folder / "val" / "b.png")
    _, rejected = run(folder)
    assert rejected == {
        "val/b": "near-duplicate of test/photo, which would leak into val",
        "train/a": "near-duplicate of test/photo, which would leak into train",
    }


def test_grey_copies_of_colour_images_leak_too(folder):
    texture(2).convert("L").save(folder / "train" / "grey.png")
    assert list(run(folder)[1]) == ["train/grey"]


def test_flat_images_are_not_alike_for_being_flat(folder):
    for split, colour in zip(SPLITS, ("red", "green", "blue"), strict=True):
        Image.new("RGB", (64, 64), colour).save(folder / split / "flat.png")
    assert run(folder)[1] == {}


def test_an_empty_split_stops_the_stage_and_says_why(folder):
    for path in (folder / "train").iterdir():
        path.unlink()
    texture(2).save(folder / "train" / "copy.png")
    texture(2).resize((50, 50)).save(folder / "train" / "near.png")
    texture(7, 20).save(folder / "train" / "tiny.png")
    (folder / "val" / "first.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        run(folder)
    train, val = str(caught.value).splitlines()
    assert train.startswith("data.train: no image left of 3 (")
    for why in ("1 duplicates", "1 near-duplicates of another split", "1 too small", "rejected.csv"):
        assert why in train
    assert val.startswith("data.val: no image left of 1 (1 unreadable)")
    assert len(read_rows(folder / "raw" / "rejected.csv")) == 4


def copies(image):
    """What happens to images on the web."""
    width, height = image.size
    yield "half the size", image.resize((width // 2, height // 2), Image.Resampling.LANCZOS)
    yield "a thumbnail", image.resize((150, 150), Image.Resampling.BICUBIC)
    yield "larger", image.resize((width * 3 // 2, height * 3 // 2), Image.Resampling.BICUBIC)
    yield "brighter", ImageEnhance.Brightness(image).enhance(1.2)
    yield "darker", ImageEnhance.Brightness(image).enhance(0.8)
    yield "mirrored", ImageOps.mirror(image)
    yield "on its side", image.transpose(Image.Transpose.ROTATE_90)
    yield "more contrast", ImageEnhance.Contrast(image).enhance(1.2)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=20)
    yield "JPEG", Image.open(buffer)


def bits(image):
    return look(np.atleast_3d(np.asarray(image)))


@pytest.fixture(scope="module")
def photographs():
    found = {}
    for photograph in PHOTOGRAPHS:
        with Image.open(locate(photograph.package, photograph.path)) as image:
            image.thumbnail((512, 512))
            found[photograph.name] = image.convert("RGB")
    return found


def test_copies_are_found_and_found_to_be_of_the_right_image(photographs):
    names = list(photographs)
    looks = np.stack([bits(image) for image in photographs.values()])
    for name, image in photographs.items():
        for change, copy in copies(image):
            with copy:
                found = nearest(bits(copy), looks)
            assert found is not None, (name, change)
            assert names[found] == name, (name, change)


def test_different_photographs_and_textures_are_not_alike(photographs):
    looks = np.stack([bits(image) for image in photographs.values()])
    for at in range(len(looks)):
        assert nearest(looks[at], np.delete(looks, at, axis=0)) is None
    # Crops of one texture are different images too.
    for name in ("grass", "gravel", "brick"):
        crops = np.stack([bits(photographs[name].crop((x, 0, x + 128, 128))) for x in range(0, 384, 130)])
        assert nearest(crops[0], crops[1:]) is None
    noise = np.stack([look(RNG.integers(0, 256, (64, 64, 1), dtype=np.uint8)) for _ in range(50)])
    assert nearest(noise[0], noise[1:]) is None


def test_nothing_is_near_where_there_is_nothing():
    assert nearest(bits(texture(1)), np.empty((0, 8, 4), np.uint64)) is None


# --- parts of images ---


def scenery():
    """Photographs large enough to be cut up, by name."""
    for photograph in PHOTOGRAPHS:
        if photograph.name != "motorcycle_right":  # shows what motorcycle_left does
            with Image.open(locate(photograph.package, photograph.path)) as image:
                yield photograph.name, image.convert("RGB")


def marks_of(image):
    return find_marks(np.asarray(image.convert("L"), np.float32))


def crop(image, rng, side):
    x, y = (int(rng.integers(0, length - side + 1)) for length in image.size)
    return image.crop((x, y, x + side, y + side))


def test_parts_are_found_in_grey_after_jpeg_and_of_the_right_image():
    images = dict(scenery())
    index = MarkIndex([marks_of(image) for image in images.values()])
    rng, found = np.random.default_rng(1), []
    for name, image in images.items():
        buffer = io.BytesIO()
        crop(image, rng, 180).convert("L").save(buffer, "JPEG", quality=50)
        with Image.open(buffer) as part:
            like = index.sharing(marks_of(part))
        found.append(like is not None)
        assert like is None or list(images)[like] == name
    # A part may lie in the sky, where nothing is striking.
    assert sum(found) >= 0.8 * len(found)


def test_other_images_share_no_part():
    marks = [marks_of(image) for _, image in scenery()]
    for at, mine in enumerate(marks):
        assert MarkIndex(marks[:at] + marks[at + 1 :]).sharing(mine) is None
    # Neither do other places of one texture.
    for name in ("grass", "gravel", "brick"):
        texture_ = dict(scenery())[name]
        left, right = (marks_of(texture_.crop((x, 0, x + 200, 400))) for x in (0, 250))
        assert MarkIndex([left]).sharing(right) is None


@pytest.mark.parametrize("side", [8, 31, 40])
def test_images_too_small_for_marks_have_none(side):
    noise = RNG.integers(0, 256, (side, side), dtype=np.uint8).astype(np.float32)
    assert len(find_marks(noise).bits) <= 4
    assert MarkIndex([find_marks(noise)]).sharing(find_marks(noise)) is None
    assert MarkIndex([]).sharing(find_marks(noise)) is None


def test_a_part_of_a_test_image_leaks_and_the_stage_says_so_loudly(folder, caplog):
    image = Image.fromarray(coffee())
    image.save(folder / "test" / "whole.png")
    image.crop((300, 100, 500, 290)).convert("L").save(folder / "train" / "part.jpg", quality=60)
    image.crop((40, 10, 200, 250)).save(folder / "val" / "part.png")
    with caplog.at_level("WARNING"):
        _, rejected = run(folder)
    assert rejected == {
        "train/part": "shares a part with test/whole, which would leak into train",
        "val/part": "shares a part with test/whole, which would leak into val",
    }
    test = f"data.test: folder:{folder / 'test'}"
    for split in ("train", "val"):
        warning = f"WARNING: data.{split}: folder:{folder / split} holds scenes of {test}"
        assert any(message.startswith(warning) for message in caplog.messages)


def test_copies_within_a_split_are_no_leak(folder, caplog):
    texture(0).save(folder / "train" / "second.tif")
    with caplog.at_level("WARNING"):
        assert run(folder)[1] == {"train/second": "duplicate of train/first"}
    assert caplog.messages == []


def test_tiny_images_are_compared_pixel_by_pixel_only(folder):
    for split in SPLITS:
        (folder / split / "first.png").unlink()
    tiny = texture(1, 28)
    tiny.save(folder / "test" / "a.png")
    tiny.save(folder / "train" / "same.png")
    almost = np.array(tiny)
    almost[0, 0] ^= 1
    Image.fromarray(almost).save(folder / "train" / "almost.png")
    texture(2, 28).save(folder / "val" / "b.png")
    assert run(folder, min_side=28)[1] == {"train/same": "duplicate of test/a"}


@pytest.mark.skipif("DEGRAIN_MIRROR" not in os.environ, reason="no DEGRAIN_MIRROR with the real files")
def test_the_scenes_of_bsd68_are_found_in_the_folder_they_came_from(tmp_path):
    folder = Path(os.environ["DEGRAIN_MIRROR"]) / STANDARD_SETS["bsds500-val"].root
    if not folder.is_dir():
        pytest.skip(f"not in the mirror: {folder}")
    (tmp_path / "part").mkdir()
    texture(1).save(tmp_path / "part" / "other.png")
    sets = {"train": [f"folder:{folder}"], "val": [f"folder:{tmp_path / 'part'}"], "test": ["bsd68"]}
    sources = list_sources(sets, 1)
    fetched = fetch(files_to_fetch(sources), mirror=os.environ["DEGRAIN_MIRROR"])
    collected = collect(sources, tmp_path / "raw", channels=1, min_side=32, fetched=fetched)
    assert collected.counts == {"train": 32, "val": 1, "test": 68}


def test_an_image_of_which_8_bits_leave_next_to_nothing_is_rejected(folder):
    twelve_bits = np.asarray(texture(20)).astype(np.uint16) * 16
    for name, factor in (("unscaled", 1), ("scaled", 16)):
        tifffile.imwrite(folder / "train" / f"{name}.tif", twelve_bits * factor, photometric="rgb")
    few = np.where(np.asarray(texture(21)) > 128, 300, 200).astype(np.uint16)  # a drawing has no more
    tifffile.imwrite(folder / "train" / "drawing.tif", few, photometric="rgb")
    _, rejected = run(folder)
    assert list(rejected) == ["train/unscaled"]
    assert "shades, of which 8 bits leave 1" in rejected["train/unscaled"]
    assert "uses a small part of its range" in rejected["train/unscaled"]

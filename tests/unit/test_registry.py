"""The standard sets: what is registered, and which part of it a split gets."""

from __future__ import annotations

import gzip
import re
import struct
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from degrain.data.idx import read_idx
from degrain.data.reading import Reader
from degrain.data.registry import files_by_path, members, registered, scene
from degrain.data.sources import files_to_fetch, list_sources
from degrain.errors import DataError, ImageFileError
from degrain.standard_sets import STANDARD_SETS

COUNTS = {
    "train400": {"train": 380, "val": 20},
    "bsds500": {"train": 380, "val": 20},
    "bsds500-val": {"train": 95, "val": 5},
    "bsd68": {"test": 68},
    "set12": {"test": 12},
    "cbsd68": {"test": 68},
    "kodak24": {"test": 24},
    "mcmaster": {"test": 18},
    "polyu": {"train": 62, "val": 11, "test": 27},
    "cc15": {"test": 15},
    "fashion-mnist": {"train": 59_000, "val": 1_000, "test": 10_000},
    "mnist": {"train": 59_000, "val": 1_000, "test": 10_000},
}


def listed(name, split="test"):
    return list_sources({split: [name]}, STANDARD_SETS[name].channels)


@pytest.mark.parametrize("name", STANDARD_SETS)
def test_every_split_gets_its_part_and_no_image_is_in_two(name):
    assert tuple(COUNTS[name]) == STANDARD_SETS[name].splits
    parts = {split: list(members(name, split)) for split in STANDARD_SETS[name].splits}
    assert {split: len(part) for split, part in parts.items()} == COUNTS[name]
    for one, other in combinations(parts.values(), 2):
        assert not {member.path for member in one} & {member.path for member in other}
    assert {member.file for part in parts.values() for member in part if not member.noisy} <= {
        *registered()[name].values()
    }


def test_what_is_registered_is_pinned():
    for file in files_by_path().values():
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.bytes > 1000
        assert file.url == STANDARD_SETS[file.set].host + file.path
        pinned = re.match(r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/[0-9a-f]{40}/", file.url)
        assert pinned or file.set == "mnist"


def test_no_scene_of_polyu_is_in_two_splits():
    splits = {}
    for split in ("train", "val", "test"):
        for pair in members("polyu", split):
            assert splits.setdefault(scene(pair.name), split) == split
    assert Counter(splits.values()).keys() == {"train", "val", "test"}
    assert scene("Canon5D2_5_160_3200_chair_11") == "chair"
    assert scene("NikonD800_6-3_125_5000_plant__4") == "plant"


@pytest.mark.parametrize("name", ["polyu", "cc15"])
def test_pairs_are_a_clean_and_a_noisy_photograph_of_one_name(name):
    for source in listed(name):
        assert source.path.replace("_mean.", "_real.") == source.noisy != source.path
        assert files_by_path()[source.noisy].sha256 == source.noisy_sha256 != source.sha256
        assert "_mean" not in source.name


def test_listing_standard_sets_needs_no_file_and_gives_short_unique_names():
    sources = [*listed("bsds500", "train"), *list_sources({"test": ["bsd68", "set12"]}, 1)]
    assert sources[0].name == "test_100007"
    assert sources[-1].name == "12"
    assert len({source.name for source in sources}) == len(sources)
    assert all(source.path in files_by_path() for source in sources)


def test_an_archive_is_fetched_once_for_all_its_images():
    sources = listed("fashion-mnist", "train")[:3]
    assert [source.path.partition("#")[2] for source in sources] == ["0", "1", "2"]
    assert [file.name for file in files_to_fetch(sources)] == ["train-images-idx3-ubyte.gz"]
    pairs = listed("polyu")
    assert {file.path for file in files_to_fetch(pairs)} == {
        path for pair in pairs for path in (pair.path, pair.noisy)
    }


# --- archives ---


def write_idx(path, images, *, magic=0x803):
    header = struct.pack(">IIII", magic, *images.shape)
    path.write_bytes(gzip.compress(header + images.tobytes()))
    return path


def test_images_come_out_of_an_archive_as_they_went_in(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 7, 9), dtype=np.uint8)
    path = write_idx(tmp_path / "x.gz", images)
    np.testing.assert_array_equal(read_idx(path), images[..., None])
    archive = listed("fashion-mnist")[0].path.partition("#")[0]
    for channels in (1, 3):
        read = Reader(channels, {archive: path})
        np.testing.assert_array_equal(
            read("fashion-mnist", f"{archive}#3", ""), np.repeat(images[3][..., None], channels, axis=2)
        )


def test_a_damaged_archive_is_named(tmp_path):
    images = np.zeros((2, 4, 4), np.uint8)
    whole = write_idx(tmp_path / "x.gz", images).read_bytes()
    for data in (whole[:-12], b"", b"<html>", gzip.compress(b"short")):
        (tmp_path / "x.gz").write_bytes(data)
        with pytest.raises(ImageFileError, match=r"x\.gz: not a gzipped IDX file .*; fetch it again"):
            read_idx(tmp_path / "x.gz")
    write_idx(tmp_path / "x.gz", images, magic=0x801)
    with pytest.raises(ImageFileError, match="expected an IDX file of 2 images of 4x4 bytes, found magic"):
        read_idx(tmp_path / "x.gz")
    (tmp_path / "x.gz").write_bytes(gzip.compress(gzip.decompress(whole)[:-1]))
    with pytest.raises(ImageFileError, match="found magic number 0x00000803, 47 bytes"):
        read_idx(tmp_path / "x.gz")


# --- folders of pairs ---


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def test_a_folder_with_clean_and_noisy_holds_pairs(tmp_path):
    touch(tmp_path, "clean/a.png", "noisy/a.png", "clean/sub/b.jpg", "noisy/sub/b.jpg")
    sources = list_sources({"test": [f"folder:{tmp_path}"]}, 3)
    assert [(source.name, source.path, source.noisy) for source in sources] == [
        ("a", f"{tmp_path}/clean/a.png", f"{tmp_path}/noisy/a.png"),
        ("sub_b", f"{tmp_path}/clean/sub/b.jpg", f"{tmp_path}/noisy/sub/b.jpg"),
    ]
    assert all(source.sha256 != source.noisy_sha256 for source in sources)


def test_an_image_without_its_other_half_is_named(tmp_path):
    touch(tmp_path, "clean/a.png", "noisy/a.png", "clean/b.png")
    with pytest.raises(DataError, match=r"but 1 are in one only; add noisy/b\.png or remove the other"):
        list_sources({"test": [f"folder:{tmp_path}"]}, 3)

"""Labelled images in the files of the MNIST kind: read as written, refused where damaged, drawn by class."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from degrain.data.fetch import MIRROR
from degrain.errors import DataError, DegrainError, ImageFileError
from degrain.generation.fetching import LABEL_FILES, collect_labelled, set_files
from degrain.generation.labelled import file_names, read_labelled, read_labels, read_real, read_set
from degrain.generation_params import SETS, GenerationData, load_generation_params
from degrain.params import ParamsError
from generation_support import EXPERIMENT, bars, idx_images, idx_labels, tiny_params, write_set

REAL_MIRROR = Path(os.environ.get(MIRROR, "/nowhere"))


def own(folder):
    return GenerationData(set=f"folder:{folder}", mirror=None)


def test_images_and_labels_are_read_as_they_were_written(tmp_path):
    folder = write_set(tmp_path)
    for seed, split in enumerate(("train", "test")):
        images, labels = bars((240, 60)[seed], seed)
        found = read_labelled(folder, split)
        assert np.array_equal(found.images[:, 0].numpy(), images)
        assert np.array_equal(found.labels.numpy(), labels)
        assert found.classes == 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a gzipped IDX file"),
        (b"text", "not a gzipped IDX file"),
        (idx_labels(np.zeros(9, np.uint8))[:-5], "not a gzipped IDX file"),
        (gzip.compress(b"abc", mtime=0), "not a gzipped IDX file"),
        (gzip.compress(struct.pack(">II", 0x801, 5) + bytes(4), mtime=0), "magic number 0x00000801, 5 in"),
        (gzip.compress(struct.pack(">II", 0x801, 5) + bytes(6), mtime=0), "as many as its header says"),
        (gzip.compress(struct.pack(">II", 0x801, 2**32 - 1) + bytes(6), mtime=0), "4294967295 in the header"),
        (idx_images(np.zeros((3, 8, 8), np.uint8)), "found magic number 0x00000803"),
    ],
)
def test_damaged_labels_are_refused_with_the_reason(tmp_path, data, reason):
    path = tmp_path / "labels.gz"
    path.write_bytes(data)
    with pytest.raises(ImageFileError, match=reason):
        read_labels(path)


def test_header_that_promises_much_makes_nobody_read_much(tmp_path):
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(struct.pack(">II", 0x801, 2**32 - 1) + bytes(10_000_100)))
    with pytest.raises(ImageFileError, match="10000001 or more"):
        read_labels(path)


@pytest.mark.parametrize(
    ("images", "count", "reason"),
    [
        (np.zeros((6, 16, 16)), 5, "5 labels for the 6 images"),
        (np.zeros((0, 16, 16)), 0, "holds no image"),
        (np.zeros((6, 16, 18)), 6, "images of 18x16 pixels; expected squares"),
        (np.zeros((6, 15, 15)), 6, "images of 15x15 pixels; expected squares, even"),
        (np.zeros((6, 4, 4)), 6, "from 8 pixels on"),
    ],
)
def test_images_that_cannot_be_used_are_refused(tmp_path, images, count, reason):
    write_set(tmp_path)
    image_file, label_file = file_names("train")
    (tmp_path / image_file).write_bytes(idx_images(images.astype(np.uint8)))
    (tmp_path / label_file).write_bytes(idx_labels(np.zeros(count, np.uint8)))
    with pytest.raises(ImageFileError, match=reason):
        read_labelled(tmp_path, "train")


def test_train_and_test_must_go_together(tmp_path):
    write_set(tmp_path)
    other = write_set(tmp_path / "other", side=20)
    for name in file_names("test"):
        (tmp_path / name).write_bytes((other / name).read_bytes())
    with pytest.raises(DataError, match=r"\(16 px, labels up to 2\), found 20 px"):
        read_set(tmp_path)


def test_no_image_is_both_learned_and_held_out(tmp_path):
    write_set(tmp_path)
    whole = read_labelled(tmp_path, "train")
    real = read_real(tmp_path, 40)
    assert torch.equal(torch.cat([real.seen.images, real.unseen.images]), whole.images)
    assert (len(real.seen), len(real.unseen), len(real.test)) == (200, 40, 60)
    with pytest.raises(DataError, match=r"classifier\.held_out = 240; expected less than the 240"):
        read_real(tmp_path, 240)


def test_draws_have_as_many_of_every_class_and_differ(tmp_path):
    write_set(tmp_path)
    whole = read_labelled(tmp_path, "train")
    one, same, other = (whole.few(5, 0, "labels", draw) for draw in (1, 1, 2))
    assert torch.equal(torch.bincount(one.labels), torch.tensor([5, 5, 5]))
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)
    assert len({image.numpy().tobytes() for image in one.images}) == 15
    for image, label in zip(one.images, one.labels, strict=True):
        assert (whole.images[whole.labels == label] == image).flatten(1).all(1).any()
    with pytest.raises(DataError, match=r"class 0: 80 training images; expected at least 81"):
        whole.few(81, 0)


def test_set_of_ones_own_is_copied(tmp_path):
    folder, into = write_set(tmp_path / "own"), tmp_path / "data"
    told = collect_labelled(own(folder), into)
    assert told == f"folder:{folder}: 240 train, 60 test images, 16 px, 3 classes"
    assert {path.name: path.read_bytes() for path in into.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_files_that_are_missing_are_named(tmp_path):
    folder = write_set(tmp_path / "own")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"data\.set: folder:.*: no t10k-labels-idx1-ubyte\.gz there"):
        collect_labelled(own(folder), tmp_path / "data")


def test_file_of_a_mirror_that_is_not_the_registered_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv(MIRROR, raising=False)
    for file in set_files("fashion-mnist"):
        path = tmp_path / "mirror" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"something else")
    data = GenerationData(set="fashion-mnist", mirror=str(tmp_path / "mirror"))
    with pytest.raises(DataError, match=r"expected sha256 .* the mirror's copy is damaged"):
        collect_labelled(data, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", SETS)
def test_sets_have_images_and_labels_of_both_splits(name):
    files = set_files(name)
    assert sorted(file.name for file in files) == sorted(
        name for split in ("train", "test") for name in file_names(split)
    )
    assert len({file.sha256 for file in files}) == 4
    assert {len(file.sha256) for file in files} == {64}
    assert LABEL_FILES.keys() == set(SETS)


def test_the_published_set_is_what_is_registered(tmp_path):
    if not all((REAL_MIRROR / file.path).is_file() for file in set_files("fashion-mnist")):
        pytest.skip(f"no folder {MIRROR} with fashion-mnist")
    told = collect_labelled(GenerationData(set="fashion-mnist", mirror=None), tmp_path / "data")
    assert told == "fashion-mnist: 60000 train, 10000 test images, 28 px, 10 classes; MIT"
    train, test = read_set(tmp_path / "data")
    assert torch.bincount(train.labels).tolist() == [6000] * 10
    assert torch.bincount(test.labels).tolist() == [1000] * 10


def test_params_of_the_experiment_are_checked_by_name(tmp_path):
    assert load_generation_params(EXPERIMENT / "params.yaml").data.set == "fashion-mnist"
    text = (EXPERIMENT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("critic_width", "critic_widht"))
    with pytest.raises(ParamsError, match=r"dcgan\.critic_widht is not a setting; did you mean .*critic_wid"):
        load_generation_params(tmp_path / "params.yaml")
    for changes, message in (
        ({"data": {"set": "cifar"}}, r"data\.set = 'cifar'; expected fashion-mnist, mnist, or folder:PATH"),
        ({"data": {"set": "folder:"}}, r"data\.set = 'folder:'; expected"),
        ({"dcgan": {"adversarial": {"loss": "hing"}}}, r"dcgan\.adversarial\.loss = 'hing'; expected one of"),
        (
            {"dcgan": {"adversarial": {"loss": "hinge"}, "stabilisers": {"label_smoothing": 0.1}}},
            r"stabilisers\.label_smoothing = 0\.1; expected 0 with adversarial\.loss = hinge",
        ),
    ):
        with pytest.raises(DegrainError, match=message):
            tiny_params(changes)

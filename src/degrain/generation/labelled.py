"""Sets of small labelled images in the files of the MNIST kind."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from degrain.data.idx import read_idx
from degrain.errors import DataError, ImageFileError
from degrain.seeding import seeded_generator

LABELS = 0x00000801  # unsigned bytes in one dimension
HEADER = struct.Struct(">II")
MOST_LABELS = 10_000_000  # what a damaged header says is not believed
SPLITS = {"train": "train", "test": "t10k"}
SMALLEST_PX = 8


@dataclass(frozen=True)
class Labelled:
    """Images (N, 1, S, S), unsigned bytes, and their labels (N,), from 0 on."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """How many there are, if the highest label occurs."""
        return int(self.labels.max()) + 1

    def part(self, start: int | None, stop: int | None) -> Labelled:
        """Those from `start` up to `stop`."""
        return Labelled(self.images[start:stop], self.labels[start:stop])

    def few(self, per_class: int, *parts: str | int) -> Labelled:
        """As many of every class, drawn at random; `parts` are the seed, see `seeded_generator`.

        Raises
        ------
        DataError : a class has not as many.
        """
        chosen = []
        for label in range(self.classes):
            places = (self.labels == label).nonzero().flatten()
            if len(places) < per_class:
                msg = (
                    f"class {label}: {len(places)} training images; expected at least {per_class}, as "
                    "semi_supervised.labels_per_class says; lower that, or take another data.set"
                )
                raise DataError(msg)
            order = torch.randperm(len(places), generator=seeded_generator(*parts, label))
            chosen.append(places[order[:per_class]])
        places = torch.cat(chosen)
        return Labelled(self.images[places], self.labels[places])


class Real(NamedTuple):
    """Real images: of the test set, and of training those that the classifier learns from or does not."""

    test: Labelled
    seen: Labelled
    unseen: Labelled


def read_real(folder: Path, held_out: int) -> Real:
    """The images of a folder, the last `held_out` of training kept from the classifier.

    Raises
    ------
    ImageFileError, DataError : see `read_set`; there are not as many.
    """
    train, test = read_set(folder)
    if held_out >= len(train):
        msg = (
            f"classifier.held_out = {held_out}; expected less than the {len(train)} training images of "
            f"{folder}: lower it in params.yaml"
        )
        raise DataError(msg)
    return Real(test, train.part(None, -held_out), train.part(-held_out, None))


def read_set(folder: Path) -> tuple[Labelled, Labelled]:
    """The training and the test images of a folder, and that they go together.

    Raises
    ------
    ImageFileError : see `read_labelled`.
    DataError : the test images have another size or another class than those of training.
    """
    train, test = (read_labelled(folder, split) for split in SPLITS)
    if test.images.shape[1:] != train.images.shape[1:] or test.classes > train.classes:
        sizes = [f"{one.images.shape[-1]} px, labels up to {one.classes - 1}" for one in (train, test)]
        msg = (
            f"{folder}: expected test images like those of training ({sizes[0]}), found {sizes[1]}; "
            "take both from one set"
        )
        raise DataError(msg)
    return train, test


def file_names(split: str) -> tuple[str, str]:
    """What the files with the images and with the labels of train or test are called."""
    start = SPLITS[split]
    return f"{start}-images-idx3-ubyte.gz", f"{start}-labels-idx1-ubyte.gz"


def read_labelled(folder: Path, split: str) -> Labelled:
    """The images and labels of train or test, each file checked, and that they go together.

    Raises
    ------
    ImageFileError : naming the file, what is wrong with it and what to do.
    """
    images_file, labels_file = (folder / name for name in file_names(split))
    images, labels = read_idx(images_file), read_labels(labels_file)
    count, height, width, _ = images.shape
    if count != len(labels):
        reason = f"{len(labels)} labels for the {count} images of {images_file.name}"
        raise ImageFileError(labels_file, reason, "fetch both again")
    if not count:
        raise ImageFileError(images_file, "holds no image", "fetch it again")
    if height != width or width < SMALLEST_PX or width % 2:
        reason = f"images of {width}x{height} pixels; expected squares, even and from {SMALLEST_PX} pixels on"
        raise ImageFileError(images_file, reason, "take another set, or crop and write it anew")
    return Labelled(torch.tensor(images.transpose(0, 3, 1, 2)), torch.tensor(labels).long())


def read_labels(path: Path) -> NDArray[np.uint8]:
    """Read all labels of a gzipped IDX file: (N,).

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".

    Raises
    ------
    ImageFileError : missing, damaged, or not labels.
    """
    try:
        with gzip.open(path) as file:
            magic, count = HEADER.unpack(file.read(HEADER.size))
            found = file.read(min(count, MOST_LABELS) + 1)  # one more, to see whether there is
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise ImageFileError(path, f"not a gzipped IDX file ({error})", "fetch it again") from error
    if magic != LABELS or len(found) != count:
        reason = (
            f"expected an IDX file of labels (magic number {LABELS:#010x}), as many as its header says; "
            f"found magic number {magic:#010x}, {count} in the header, {len(found)} or more bytes"
        )
        raise ImageFileError(path, reason, "fetch it again")
    return np.frombuffer(found, np.uint8)

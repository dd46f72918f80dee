"""The files of the standard sets, and which of them each split gets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from degrain.files import read_rows
from degrain.standard_sets import STANDARD_SETS

TABLE = Path(__file__).with_name("registry.csv")

# Of a set that trains, every twentieth file is for validation.
EVERY = 20

# PolyU's pictures are parts of larger ones; what an object's name says is one scene, whatever the camera.
# Scenes that may show the same place are in one split; the others train.
POLYU_SPLITS = {
    "val": ("plug", "stair", "wall"),
    "test": ("ball", "bicycle", "bulletin", "fruit", "photo", "planandsofa", "plant"),
}

# The images in the archives of the MNIST kind; the last of the training file are for validation.
IDX_TRAIN, IDX_TEST = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"
IDX_SPLITS = {
    "train": (IDX_TRAIN, range(59_000)),
    "val": (IDX_TRAIN, range(59_000, 60_000)),
    "test": (IDX_TEST, range(10_000)),
}


@dataclass(frozen=True)
class RegisteredFile:
    """A published file.

    Attributes
    ----------
    set : the set that it is of; name : its path below the set's root.
    bytes : how long it is; sha256 : of its contents, 64 hexadecimal digits.
    """

    set: str
    name: str
    bytes: int
    sha256: str

    @property
    def path(self) -> str:
        """Where it lies below a mirror, the cache, or its host."""
        return f"{STANDARD_SETS[self.set].root}/{self.name}"

    @property
    def url(self) -> str:
        """Where its authors publish it."""
        return STANDARD_SETS[self.set].host + self.path


@dataclass(frozen=True)
class Member:
    """An image of a standard set.

    Attributes
    ----------
    name : what to call it; file : that holds it.
    index : its number where the file holds many, None where it is the image itself.
    noisy : the photograph with real noise, for sets of pairs.
    """

    name: str
    file: RegisteredFile
    index: int | None = None
    noisy: RegisteredFile | None = None

    @property
    def path(self) -> str:
        """The file's path, and #number inside an archive."""
        return self.file.path if self.index is None else f"{self.file.path}#{self.index}"


@cache
def registered() -> dict[str, dict[str, RegisteredFile]]:
    """All files: set to name to file, in the order of their names."""
    files: dict[str, dict[str, RegisteredFile]] = {name: {} for name in STANDARD_SETS}
    for row in read_rows(TABLE):
        one = RegisteredFile(row["set"], row["name"], int(row["bytes"]), row["sha256"])
        files[one.set][one.name] = one
    return files


@cache
def files_by_path() -> dict[str, RegisteredFile]:
    """All files by the path that `RegisteredFile.path` gives."""
    return {file.path: file for files in registered().values() for file in files.values()}


def members(name_of_set: str, split: str) -> Iterator[Member]:
    """The images that a split gets of a set; no image, and no scene, is in two splits."""
    files = registered()[name_of_set]
    standard = STANDARD_SETS[name_of_set]
    if IDX_TRAIN in files:
        archive, numbers = IDX_SPLITS[split]
        yield from (Member(f"{split}_{number:05d}", files[archive], number) for number in numbers)
    elif standard.pairs:
        yield from (pair for pair in _pairs(files) if standard.splits == ("test",) or _of_polyu(pair, split))
    else:
        chosen = files.values() if standard.splits == ("test",) else _part(list(files.values()), split)
        yield from (Member(str(Path(file.name).with_suffix("")), file) for file in chosen)


def _part(files: Sequence[RegisteredFile], split: str) -> list[RegisteredFile]:
    """Every twentieth file validates, the others train."""
    return [file for count, file in enumerate(files, 1) if (count % EVERY == 0) == (split == "val")]


def _pairs(files: dict[str, RegisteredFile]) -> Iterator[Member]:
    """`X_mean.JPG` is the mean of many shots, and taken for clean; `X_real.JPG` is one of them."""
    for name, file in files.items():
        stem, is_clean, suffix = name.partition("_mean")
        if is_clean:
            yield Member(stem, file, noisy=files[f"{stem}_real{suffix}"])


def _of_polyu(pair: Member, split: str) -> bool:
    return split == next((one for one, scenes in POLYU_SPLITS.items() if scene(pair.name) in scenes), "train")


def scene(name: str) -> str:
    """The scene of an image of PolyU: Canon5D2_5_160_3200_chair_11 -> chair."""
    return re.sub(r"^.*_([A-Za-z]+)_+\d+$", r"\1", name)

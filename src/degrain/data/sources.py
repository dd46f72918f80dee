"""What the sets in the params name: every source image, listed and hashed but not decoded."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from degrain.data.embedded import locate, photographs
from degrain.errors import DataError
from degrain.files import find_images, read_rows, sha256_file, write_rows

# Bytes of a file name are limited to 255 on most file systems, and suffixes come on top.
LONGEST_NAME = 100


@dataclass(frozen=True)
class Source:
    """An image that a set names.

    Attributes
    ----------
    split : train, val or test.
    set : the set's name in the params.
    name : unique within the split whatever the case, and fit to be a file's name.
    path : `package:path` inside a package for the set `embedded`, otherwise a file's path; the
        same on all machines.
    sha256 : of the file's bytes; empty if it cannot be read.
    """

    split: str
    set: str
    name: str
    path: str
    sha256: str

    def locate(self) -> Path:
        """The file on this machine."""
        if self.set == "embedded":
            package, _, path = self.path.partition(":")
            return locate(package, path)
        return Path(self.path).expanduser()


def list_sources(sets: Mapping[str, Sequence[str]], channels: int) -> list[Source]:
    """List the images of every split's sets.

    Parameters
    ----------
    sets : names of sets for every split: `embedded` or `folder:PATH`.
    channels : 1 or 3; some embedded photographs are grey only.

    Raises
    ------
    DataError : if a folder is missing or holds no image.
    """
    return [source for split, names in sets.items() for source in _list_split(split, names, channels)]


def write_sources(path: Path, sources: Sequence[Source]) -> None:
    """Write sources as a CSV table: the same bytes for the same sources."""
    write_rows(path, [field.name for field in fields(Source)], map(asdict, sources))


def read_sources(path: Path) -> list[Source]:
    """Read what `write_sources` wrote."""
    return [Source(**row) for row in read_rows(path)]


def _list_split(split: str, sets: Sequence[str], channels: int) -> Iterator[Source]:
    taken: set[str] = set()
    for name_of_set in sets:
        found = _embedded(split, channels) if name_of_set == "embedded" else _folder(name_of_set)
        for wish, path, file in found:
            name = _unique(wish, taken)
            yield Source(split, name_of_set, name, path, _sha256(file))


def _embedded(split: str, channels: int) -> Iterator[tuple[str, str, Path]]:
    """(name, path for the table, file) of every photograph of the split."""
    for photograph in photographs(split, channels):
        package, path = photograph.package, photograph.path
        yield photograph.name, f"{package}:{path}", locate(package, path)


def _folder(name_of_set: str) -> Iterator[tuple[str, str, Path]]:
    """(name, path for the table, file) of every image below the folder, in the order of their paths."""
    written = name_of_set.removeprefix("folder:")
    folder = Path(written).expanduser()
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        msg = (
            f"{name_of_set}: expected a folder at {folder.absolute()}, found {found}; correct the path in "
            "params.yaml (experiments that run elsewhere, queued ones too, need the whole path)"
        )
        raise DataError(msg)
    files = find_images(folder)
    if not files:
        msg = f"{name_of_set}: no png, jpg, tif or webp image in it; put some there or name another folder"
        raise DataError(msg)
    for file in files:
        relative = file.relative_to(folder)
        yield safe_name(relative), (Path(written) / relative).as_posix(), file


def safe_name(relative: Path) -> str:
    """Turn `holiday/IMG 1.jpg` into `holiday_IMG_1`: letters, digits, - and _ only, and not too long."""
    stem = unicodedata.normalize("NFC", relative.with_suffix("").as_posix())
    name = re.sub(r"[^\w-]+", "_", stem)
    if len(name.encode()) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(stem.encode("utf-8", errors="surrogateescape")).hexdigest()[:12]
    return f"{name.encode()[-LONGEST_NAME:].decode(errors='ignore')}-{digest}"


def _unique(wish: str, taken: set[str]) -> str:
    """Number names that clash, as some file systems do not tell A from a."""
    name, number = wish, 1
    while name.casefold() in taken:
        number += 1
        name = f"{wish}-{number}"
    taken.add(name.casefold())
    return name


def _sha256(file: Path) -> str:
    """Of the file's bytes; empty if it cannot be read, for which the next stage rejects it."""
    try:
        return sha256_file(file)
    except OSError:
        return ""

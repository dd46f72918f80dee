"""What the sets in the params name: every source image, listed and hashed but not decoded."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from degrain.data.embedded import locate, photographs
from degrain.data.registry import RegisteredFile, files_by_path, members
from degrain.errors import DataError
from degrain.files import find_images, read_rows, sha256_file, write_json, write_rows
from degrain.standard_sets import STANDARD_SETS

# A folder with both of these below it holds pairs.
CLEAN, NOISY = "clean", "noisy"

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
    path : `package:path` inside a package for the set `embedded`, the path below a mirror for a
        standard set (`path#number` inside an archive), otherwise a file's path; the same on all
        machines.
    sha256 : of the file's bytes; empty if it cannot be read.
    noisy, noisy_sha256 : the same of the photograph with real noise; empty where there is none.
    """

    split: str
    set: str
    name: str
    path: str
    sha256: str
    noisy: str = ""
    noisy_sha256: str = ""


@dataclass(frozen=True)
class Found:
    """An image of a set: what to call it, and the rest of a `Source`."""

    wish: str
    path: str
    sha256: str
    noisy: str = ""
    noisy_sha256: str = ""


def list_sources(sets: Mapping[str, Sequence[str]], channels: int) -> list[Source]:
    """List the images of every split's sets.

    Parameters
    ----------
    sets : names of sets for every split: `embedded`, `folder:PATH` or those of the standard sets.
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


def files_to_fetch(sources: Sequence[Source]) -> list[RegisteredFile]:
    """The files that standard sets have their images in, each once."""
    paths = [
        path.partition("#")[0]
        for source in sources
        if source.set in STANDARD_SETS
        for path in (source.path, source.noisy)
        if path
    ]
    return [files_by_path()[path] for path in dict.fromkeys(paths)]


def _list_split(split: str, sets: Sequence[str], channels: int) -> Iterator[Source]:
    taken: set[str] = set()
    for name in sets:
        for one in _list_set(name, split, channels):
            unique = _unique(one.wish, taken)
            yield Source(split, name, unique, one.path, one.sha256, one.noisy, one.noisy_sha256)


def _list_set(name: str, split: str, channels: int) -> Iterator[Found]:
    if name == "embedded":
        return _embedded(split, channels)
    if name in STANDARD_SETS:
        return _standard(name, split)
    return _folder(name)


def _embedded(split: str, channels: int) -> Iterator[Found]:
    """Every photograph of the split."""
    for photograph in photographs(split, channels):
        package, path = photograph.package, photograph.path
        yield Found(photograph.name, f"{package}:{path}", _sha256(locate(package, path)))


def _standard(name: str, split: str) -> Iterator[Found]:
    """What is registered of a standard set; nothing is read, and nothing fetched."""
    for member in members(name, split):
        noisy = (member.noisy.path, member.noisy.sha256) if member.noisy else ()
        yield Found(safe_name(Path(f"{member.name}.png")), member.path, member.file.sha256, *noisy)


def _folder(name: str) -> Iterator[Found]:
    """Every image below the folder, in the order of their paths; pairs if it holds `clean` and `noisy`."""
    written = name.removeprefix("folder:")
    folder = Path(written).expanduser()
    if not folder.is_dir():
        raise DataError(_missing(name, folder))
    if all((folder / part).is_dir() for part in (CLEAN, NOISY)):
        yield from _folder_of_pairs(name, folder)
        return
    for relative in _images(name, folder):
        path = (Path(written) / relative).as_posix()
        yield Found(safe_name(relative), path, _sha256(folder / relative))


def _missing(name: str, folder: Path) -> str:
    """What to do about a folder that is not there: DVC may have it."""
    found = "a file" if folder.exists() else "nothing"
    pointer = folder.with_name(f"{folder.name}.dvc")
    advice = f"fetch it: dvc pull {pointer}"
    if not pointer.is_file():
        elsewhere = "experiments that run elsewhere, queued ones too, need the whole path"
        advice = f"correct the path in params.yaml ({elsewhere})"
    return f"{name}: expected a folder at {folder.absolute()}, found {found}; {advice}"


def _folder_of_pairs(name: str, folder: Path) -> Iterator[Found]:
    """The images below `clean`, each with that of the same name below `noisy`."""
    names = {part: _images(name, folder / part) for part in (CLEAN, NOISY)}
    lonely = sorted({*names[CLEAN]} ^ {*names[NOISY]})
    if lonely:
        part = NOISY if lonely[0] in names[CLEAN] else CLEAN
        msg = (
            f"{name}: expected images of the same names in {CLEAN}/ and in {NOISY}/, but {len(lonely)} are "
            f"in one only; add {part}/{lonely[0].as_posix()} or remove the other"
        )
        raise DataError(msg)
    written = Path(name.removeprefix("folder:"))
    for relative in names[CLEAN]:
        clean, noisy = (written / part / relative for part in (CLEAN, NOISY))
        hashes = [_sha256(path.expanduser()) for path in (clean, noisy)]
        yield Found(safe_name(relative), clean.as_posix(), hashes[0], noisy.as_posix(), hashes[1])


def write_learned_noise(path: Path, generator: str | None) -> None:
    """Write the hash of the generator of learned noise, which stands for it; null if none is in use.

    Raises
    ------
    DataError : there is no such file.
    """
    if generator and not Path(generator).is_file():
        msg = (
            f"noise.learned.generator = {generator}: no such file; "
            "dvc repro experiments/learned-noise/dvc.yaml:noise_model learns one from noisy photographs"
        )
        raise DataError(msg)
    write_json(path, {"sha256": sha256_file(Path(generator)) if generator else None})


def _images(name: str, folder: Path) -> list[Path]:
    """The paths of all images below `folder`, relative to it."""
    files = find_images(folder)
    if not files:
        msg = f"{name}: no png, jpg, tif or webp image in {folder}; put some there or name another folder"
        raise DataError(msg)
    return [file.relative_to(folder) for file in files]


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

"""The four files of a labelled set: fetched and verified, or taken from a folder."""

from __future__ import annotations

from pathlib import Path

from degrain.data.fetch import fetch, find_mirror
from degrain.data.registry import RegisteredFile, registered
from degrain.errors import DataError
from degrain.files import write_bytes
from degrain.generation.labelled import SPLITS, file_names, read_set
from degrain.generation_params import FOLDER, GenerationData
from degrain.standard_sets import STANDARD_SETS

# Bytes and SHA-256. The images' stand in data/registry.csv; denoising needs no labels.
LABEL_FILES: dict[str, dict[str, tuple[int, str]]] = {
    "fashion-mnist": {
        "train": (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        "test": (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    },
    "mnist": {
        "train": (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        "test": (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    },
}


def collect_labelled(data: GenerationData, into: Path) -> str:
    """Copy the four files of a set to a folder, verified and readable; says what they are.

    Raises
    ------
    DataError : a file cannot be had, or is not the registered one.
    ImageFileError : a file is damaged, or does not go with the others.
    """
    if data.set.startswith(FOLDER):
        found, licence = in_folder(Path(data.set.removeprefix(FOLDER)).expanduser()), ""
    else:
        fetched = fetch(set_files(data.set), mirror=find_mirror(data.mirror))
        found, licence = list(fetched.values()), f"; {STANDARD_SETS[data.set].licence}"
    for path in found:
        write_bytes(into / path.name, path.read_bytes())
    train, test = read_set(into)
    side, classes = train.images.shape[-1], train.classes
    return f"{data.set}: {len(train)} train, {len(test)} test images, {side} px, {classes} classes{licence}"


def set_files(name: str) -> list[RegisteredFile]:
    """Images and labels, of train and of test."""
    files = registered()[name]
    found = []
    for split, (size, sha256) in LABEL_FILES[name].items():
        images, labels = file_names(split)
        found += [files[images], RegisteredFile(name, labels, size, sha256)]
    return found


def in_folder(folder: Path) -> list[Path]:
    """The same files in a folder of the user's.

    Raises
    ------
    DataError : naming those that are missing.
    """
    wanted = [folder / name for split in SPLITS for name in file_names(split)]
    missing = [path.name for path in wanted if not path.is_file()]
    if missing:
        msg = (
            f"data.set: {FOLDER}{folder}: no {', '.join(missing)} there; expected four gzipped IDX files: "
            "put them there, or correct data.set in params.yaml (a relative path is one from where that is)"
        )
        raise DataError(msg)
    return wanted

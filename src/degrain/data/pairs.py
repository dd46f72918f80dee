"""Real noisy photographs: training patches, and the fixed validation and test sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from degrain.data.noisy import COLUMNS, Image, save_noisy
from degrain.data.patches import Bytes, cut_patches, write_shards
from degrain.data.synthesis import progress, read_pixels, write_manifest
from degrain.errors import DataError
from degrain.files import atomic_write, read_image, sha256_file
from degrain.noise_level import noise_level
from degrain.params import Patches

LEVEL = "real"


def make_pair_patches(raw: Path, folder: Path, patches: Patches) -> int:
    """Cut clean and noisy training photographs alike into shards; returns how many patches.

    At full size only: a photograph that is shrunk has other noise. `sigma.npy` gets what is estimated
    for each patch from the whole noisy photograph.

    Raises
    ------
    DataError : a clean image has no noisy one.
    """
    paths, sigmas = _pairs(raw, "train"), []
    full_size = patches.model_copy(update={"scales": (1.0,)})

    def cut() -> Iterator[Bytes]:
        for clean, noisy in progress(paths, "patches"):
            both = np.concatenate([read_pixels(clean), read_pixels(noisy)], axis=2)
            cuts = cut_patches(both, full_size)
            sigmas.append(np.full(len(cuts), noise_level(read_image(noisy)), np.float32))
            yield cuts

    count = write_shards(cut(), folder)
    with atomic_write(folder / "sigma.npy") as aside, aside.open("wb") as file:
        np.save(file, np.concatenate(sigmas), allow_pickle=False)
    return count


def make_pair_sets(raw: Path, folder: Path, level_of: Callable[[Image], float] = noise_level) -> None:
    """Write the noisy photographs of the validation and test pairs at the one level `real`.

    Parameters
    ----------
    level_of : what a generator is told of a noisy image (H, W, C): the level of its noise.

    Raises
    ------
    DataError : a clean image has no noisy one.
    """
    rows = [
        _write(noisy, split, folder, level_of)
        for split in ("val", "test")
        for _, noisy in progress(_pairs(raw, split), f"noisy {split}")
    ]
    write_manifest(folder, rows, [LEVEL])


def _write(noisy: Path, split: str, folder: Path, level_of: Callable[[Image], float]) -> dict[str, object]:
    """Write one noisy photograph; returns its row of the manifest. There is no value of the level."""
    image = read_image(noisy)
    path = save_noisy(image, folder / split / LEVEL, noisy.stem)
    values = (noisy.stem, split, LEVEL, None, level_of(image), sha256_file(path))
    return dict(zip(COLUMNS, values, strict=True))


def _pairs(raw: Path, split: str) -> list[tuple[Path, Path]]:
    """(clean, noisy) of every image of a split."""
    pairs = [(path, raw / f"{split}_noisy" / path.name) for path in sorted((raw / split).glob("*.png"))]
    lonely = [clean for clean, noisy in pairs if not noisy.is_file()]
    if lonely or not pairs:
        msg = (
            f"data.{split}: {len(lonely)} of {len(pairs)} images have no real noisy photograph"
            f"{f', such as {lonely[0]}' if lonely else ''}; name sets of pairs: polyu, cc15 (testing), or "
            "folder:PATH with the folders clean/ and noisy/ in it"
        )
        raise DataError(msg)
    return pairs

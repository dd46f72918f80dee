"""Training patches: cut once into memory-mapped shards, read as batches with fresh noise."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from degrain.data.augment import jitter_colours, turn
from degrain.files import atomic_write, sha256_file, write_json
from degrain.params import Patches
from degrain.seeding import seeded_generator

Bytes = NDArray[np.uint8]
SHARD_BYTES = 256 * 2**20
CPU = torch.device("cpu")
# Batches in the making; beside a GPU, which leaves the processor idle, as many threads make them.
AHEAD = 3


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    clean, noisy : (B, C, H, W) float32, clean in [0, 1], noisy not clipped unless quantised.
    sigma : (B,) root mean square of the noise, on the same scale.
    """

    clean: Tensor
    noisy: Tensor
    sigma: Tensor


class Degrade(Protocol):
    """What makes a batch noisy: clean (B, C, H, W) to (noisy, sigma (B,))."""

    def __call__(self, clean: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw levels and noise from `generator`."""
        ...


def cut_patches(image: Bytes, patches: Patches) -> Bytes:
    """Overlapping patches of an image at every scale: (H, W, C) to (N, size, size, C), both uint8.

    The last row and column are moved inwards, so that every pixel of the image can be seen. Scales
    at which the image is smaller than a patch are left out.
    """
    size = patches.side_px
    cuts = [
        scaled[y : y + size, x : x + size]
        for scaled in (rescale(image, scale) for scale in patches.scales)
        for y in _offsets(scaled.shape[0], size, patches.stride)
        for x in _offsets(scaled.shape[1], size, patches.stride)
    ]
    return np.stack(cuts) if cuts else np.empty((0, size, size, image.shape[2]), np.uint8)


def rescale(image: Bytes, scale: float) -> Bytes:
    """Shrink an image (H, W, C); photographs become sharper by it, pixel for pixel."""
    if scale == 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    plane = image[:, :, 0] if image.shape[2] == 1 else image
    shrunk = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS))
    return shrunk.reshape(*shrunk.shape[:2], image.shape[2])


def _offsets(length: int, size: int, stride: int) -> list[int]:
    """0, stride, 2 stride, ... and the last one that fits."""
    last = length - size
    return sorted({*range(0, last + 1, stride), last}) if last >= 0 else []


def write_shards(patches: Iterable[Bytes], folder: Path) -> int:
    """Write groups of patches (N, P, P, C) to shards, and their index; returns how many patches."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [
        _write_shard(folder / f"train_{number:03d}.npy", shard)
        for number, shard in enumerate(_grouped(patches))
    ]
    count = sum(int(entry["patches"]) for entry in entries)
    write_json(folder / "index.json", {"patches": count, "shards": entries})
    return count


def _grouped(patches: Iterable[Bytes]) -> Iterator[Bytes]:
    """Join small groups until they fill a shard."""
    held: list[Bytes] = []
    for group in patches:
        held.append(group)
        if sum(part.nbytes for part in held) >= SHARD_BYTES:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def _write_shard(path: Path, patches: Bytes) -> dict[str, str | int]:
    with atomic_write(path) as aside, aside.open("wb") as file:
        np.save(file, patches, allow_pickle=False)
    return {"file": path.name, "patches": len(patches), "sha256": sha256_file(path)}


class CropDataset(ABC):
    """Batches of random crops in random orientations.

    The batch of a step depends on the seed and the step alone, so a resumed training sees what an
    uninterrupted one would.

    Parameters
    ----------
    folder : of the shards and their index.json.
    crop : side of the crops, in pixels.
    seed : anything that tells one stage's draws from another's.
    """

    def __init__(self, folder: Path, *, batch_size: int, crop: int, seed: str) -> None:
        entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))["shards"]
        self.shards = [
            np.load(folder / entry["file"], mmap_mode="r", allow_pickle=False) for entry in entries
        ]
        self.ends = np.cumsum([len(shard) for shard in self.shards])
        self.batch_size, self.crop, self.seed = batch_size, crop, seed

    def __len__(self) -> int:
        return int(self.ends[-1])

    def batch(self, step: int, device: torch.device = CPU) -> Batch:
        """The batch of one step: on the CPU or, with CUDA, on the device, which draws its own noise."""
        generator = seeded_generator(self.seed, step)
        draws = torch.rand((self.batch_size, 4), generator=generator, dtype=torch.float64).numpy()
        crops = torch.from_numpy(np.stack([self._crop(*row) for row in draws]))
        if device.type == "cuda":
            crops = crops.pin_memory().to(device, non_blocking=True)
            generator = seeded_generator(self.seed, step, device=device)
        seen = crops.permute(0, 3, 1, 2).float().div_(255)
        return self._finish(seen, (draws[:, 0] * len(self)).astype(np.int64), generator)

    @abstractmethod
    def _finish(self, seen: Tensor, patches: NDArray[np.int64], generator: torch.Generator) -> Batch:
        """Crops (B, C, H, W) of the patches with these numbers (B,), as a batch."""

    def _crop(self, which: float, down: float, right: float, symmetry: float) -> Bytes:
        """A crop from four draws in [0, 1)."""
        index = int(which * len(self))
        number = int(np.searchsorted(self.ends, index, side="right"))
        patch = self.shards[number][index - int(self.ends[number])]  # counted from the end of the shard
        room = patch.shape[0] - self.crop + 1
        y, x = int(down * room), int(right * room)
        return turn(patch[y : y + self.crop, x : x + self.crop], int(symmetry * 8))

    def batches(self, start: int, stop: int, device: torch.device = CPU) -> Iterator[Batch]:
        """The batches of the steps from start to stop as `batch` gives them, prepared ahead on threads."""
        # More threads than processors would make those of the training wait for one another.
        workers = AHEAD if device.type == "cuda" else 1
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            ahead: list[Future[Batch]] = [
                pool.submit(self.batch, step, device) for step in range(start, min(start + AHEAD, stop))
            ]
            for step in range(start, stop):
                batch = ahead.pop(0).result()
                if step + AHEAD < stop:
                    ahead.append(pool.submit(self.batch, step + AHEAD, device))
                yield batch


class PatchDataset(CropDataset):
    """Crops in random colours, made noisy afresh; see `CropDataset`.

    Parameters
    ----------
    degrade : draws the noise.
    colour_jitter : how much colours change; see `jitter_colours`.
    """

    def __init__(
        self,
        folder: Path,
        degrade: Degrade,
        *,
        batch_size: int,
        crop: int,
        colour_jitter: float,
        seed: str,
    ) -> None:
        super().__init__(folder, batch_size=batch_size, crop=crop, seed=seed)
        self.degrade, self.colour_jitter = degrade, colour_jitter

    def _finish(self, seen: Tensor, patches: NDArray[np.int64], generator: torch.Generator) -> Batch:
        del patches
        clean = jitter_colours(seen, self.colour_jitter, generator=generator)
        noisy, sigma = self.degrade(clean, generator=generator)
        return Batch(clean, noisy, sigma)


class PairDataset(CropDataset):
    """Crops of clean and of real noisy photographs, cut and turned alike; see `CropDataset`.

    The shards hold both in one patch, the clean channels first; sigma.npy has each patch's noise level.
    """

    def __init__(self, folder: Path, *, batch_size: int, crop: int, seed: str) -> None:
        super().__init__(folder, batch_size=batch_size, crop=crop, seed=seed)
        self.sigma = np.load(folder / "sigma.npy", allow_pickle=False)

    def _finish(self, seen: Tensor, patches: NDArray[np.int64], generator: torch.Generator) -> Batch:
        del generator
        clean, noisy = seen.chunk(2, dim=1)
        sigma = torch.from_numpy(self.sigma[patches]).to(seen.device)
        return Batch(clean.contiguous(), noisy.contiguous(), sigma)

"""Restore the user's own files: what goes where, and every other file in spite of a bad one."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray
from tqdm import tqdm

from degrain.errors import DegrainError, ImageFileError
from degrain.files import Image, find_images, from_float, is_image_name, to_float
from degrain.pictures import read_picture, write_picture
from degrain.restore import Restorer
from degrain.restorers import Released
from degrain.samples import draw_samples, sample_paths, sampling, write_samples

logger = logging.getLogger(__name__)


class Restore(Protocol):
    """Restores one image."""

    def __call__(self, noisy: Image, sigma: float | None) -> Image:
        """(H, W, C) in [0, 1], C = 1 or 3, any size, to the same shape; sigma None: to be estimated."""
        ...


@runtime_checkable
class RestoreStored(Protocol):
    """Restores the pixels of one file, sparing memory."""

    def restore_stored(
        self, pixels: NDArray[Any], sigma: float | None, strength: float, *, out: NDArray[Any]
    ) -> object:
        """(H, W, C) as a file holds them, C = 1 or 3, any size; `out` may be `pixels`."""
        ...


@dataclass(frozen=True)
class Whole:
    """A function on whole float images as one on the pixels of files."""

    restore: Restore

    def restore_stored(
        self, pixels: NDArray[Any], sigma: float | None, strength: float, *, out: NDArray[Any]
    ) -> None:
        """Restore; see `RestoreStored`."""
        noisy = to_float(pixels)
        out[:] = from_float(noisy + strength * (self.restore(noisy, sigma) - noisy), pixels.dtype)


@dataclass(frozen=True)
class Failure:
    """A file that could not be restored, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        """For the user."""
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Job:
    """Restore `source` into `target`."""

    source: Path
    target: Path


def denoise_paths(
    inputs: Sequence[Path],
    output: Path,
    restore: Restore | RestoreStored,
    *,
    sigma: float | None = None,
    strength: float = 1.0,
    samples: int = 0,
) -> list[Failure]:
    """Restore images and all images below folders; returns those that failed, after doing the rest.

    Format, bit depth, transparency and metadata are kept, and below a folder its structure too.
    Files of the same name are numbered. Existing outputs are replaced.

    Parameters
    ----------
    output : a folder; or a file, for a single input file.
    restore : a `Restorer`, which spares memory, or any function on images.
    sigma : root mean square of the noise for images in [0, 1]; None to estimate it for each image;
        0 for images that are clean, and stay as they are.
    strength : in [0, 1], from the noisy image to the restored one.
    samples : 0 for one restoration of each image; otherwise, so many, their mean and their standard
        deviation, which `sample_paths` names. `restore` is then a stochastic `Restorer` or `Released`.

    Raises
    ------
    DegrainError : before anything is done, if an input would be overwritten or an argument is wrong.
    """
    _check_numbers(sigma, strength)
    work = _work_of(restore, samples)
    jobs, failures = _plan(inputs, output, whole_families=samples > 0)
    _check_no_input_is_overwritten(jobs, samples)
    for job in tqdm(jobs, "images", disable=None if len(jobs) > 1 else True, leave=False):
        try:
            work(job, sigma=sigma, strength=strength)
        except ImageFileError as error:
            failures.append(Failure(error.path, f"{error.reason}; {error.advice}"))
        except Exception as error:  # a full disk or memory at one file; the next may be smaller
            logger.debug("%s failed", job.source, exc_info=True)
            failures.append(Failure(job.source, f"{type(error).__name__}: {error}"))
    return failures


def _work_of(restore: Restore | RestoreStored, samples: int) -> Callable[..., None]:
    """What is done to each file."""
    if samples:
        return partial(_sample_file, restorer=sampling(restore), count=samples)
    network = restore if isinstance(restore, RestoreStored) else Whole(restore)
    return partial(_denoise_file, network=network)


def _denoise_file(job: Job, network: RestoreStored, sigma: float | None, strength: float) -> None:
    picture = read_picture(job.source)
    pixels = picture.stored.pixels
    if sigma != 0:
        network.restore_stored(pixels, sigma, strength, out=pixels)
    write_picture(job.target, picture, pixels)


def _sample_file(
    job: Job, restorer: Restorer | Released, sigma: float | None, strength: float, count: int
) -> None:
    picture = read_picture(job.source)
    blend = 0.0 if sigma == 0 else strength
    write_samples(
        job.target, picture, draw_samples(restorer, picture.stored.pixels, sigma, blend, count=count)
    )


def _check_numbers(sigma: float | None, strength: float) -> None:
    if not 0 <= strength <= 1:
        msg = f"strength = {strength}; expected a number from 0 to 1"
        raise DegrainError(msg)
    if sigma is not None and not (sigma >= 0 and math.isfinite(sigma)):
        msg = f"sigma = {sigma}; expected a number of at least 0, or auto"
        raise DegrainError(msg)


def _plan(
    inputs: Sequence[Path], output: Path, *, whole_families: bool = False
) -> tuple[list[Job], list[Failure]]:
    """What to do, and the inputs with which there is nothing to do.

    whole_families : names that differ in their extension alone clash, too.
    """
    if _is_output_file(inputs, output):
        return [Job(inputs[0], output)], []
    _make_folder(output)
    jobs: list[Job] = []
    failures: list[Failure] = []
    sources: set[Path] = set()
    targets: set[str] = set()
    for given in inputs:
        try:
            found = list(_expand(given, output))
        except OSError as error:  # a folder that may not be read, a name that is too long
            failures.append(Failure(given, error.strerror or str(error)))
            continue
        if not found:
            reason = "no png, jpg, tif or webp image in it" if given.is_dir() else "no such file or folder"
            failures.append(Failure(given, reason))
        for source, relative in found:
            whole = source.absolute()  # not where a link leads: each link gets an output of its own
            if whole not in sources:
                sources.add(whole)
                jobs.append(Job(source, output / _unique(relative, targets, whole_families)))
    return jobs, failures


def _make_folder(output: Path) -> None:
    """Before any image is restored in vain."""
    if output.exists() and not output.is_dir():
        msg = f"{output}: a file; expected a folder for the output"
        raise DegrainError(msg)
    try:
        output.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=output).close()
    except OSError as error:
        msg = f"{output}: cannot be written to ({error.strerror}); name another folder"
        raise DegrainError(msg) from error


def _is_output_file(inputs: Sequence[Path], output: Path) -> bool:
    """Whether `output` names a file; its extension must then be of the input's format."""
    if output.is_dir() or not is_image_name(output.name):
        return False
    if len(inputs) != 1 or inputs[0].is_dir():
        msg = f"{output}: looks like a file; expected a folder for more than one image"
        raise DegrainError(msg)
    (given,) = inputs
    if is_image_name(given.name) and _format(given) != _format(output):
        msg = f"{output}: the output has the input's format; expected a name that ends in {given.suffix}"
        raise DegrainError(msg)
    return True


def _format(path: Path) -> str:
    suffix = path.suffix.lower()
    return {".jpeg": ".jpg", ".tiff": ".tif"}.get(suffix, suffix)


def _expand(given: Path, output: Path) -> Iterator[tuple[Path, Path]]:
    """(file, path below the output) of a file, or of every image in a folder."""
    if given.is_dir():
        here, there = _real(given), _real(output)
        earlier_results = there if there != here and there.is_relative_to(here) else None
        for source in find_images(given):
            if earlier_results is None or not _real(source).is_relative_to(earlier_results):
                yield source, source.relative_to(given)
    elif given.exists():
        yield given, Path(given.name)


def _real(path: Path) -> Path:
    """Where links lead; unlike `Path.resolve`, no error for those that lead in a circle."""
    return Path(os.path.realpath(path))


def _unique(relative: Path, targets: set[str], whole_families: bool) -> Path:
    """Number the names that clash, as some file systems do not tell A from a."""

    def key(name: Path) -> str:
        return (name.with_suffix("") if whole_families else name).as_posix().casefold()

    name, number = relative, 1
    while key(name) in targets:
        number += 1
        name = relative.with_stem(f"{relative.stem}-{number}")
    targets.add(key(name))
    return name


def _check_no_input_is_overwritten(jobs: Sequence[Job], samples: int) -> None:
    """By the identity of the files, which sees through links and other spellings of a name."""
    sources = {_identity(job.source) for job in jobs} - {None}
    for target in (path for job in jobs for path in _outputs(job, samples)):
        if _identity(target) in sources:
            msg = f"{target}: the output would overwrite an input; choose another folder or name"
            raise DegrainError(msg)


def _outputs(job: Job, samples: int) -> list[Path]:
    return sample_paths(job.target, samples) if samples else [job.target]


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

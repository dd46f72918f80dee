"""Fetch the files of standard sets: from a mirror, or over the network into a cache, always verified."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pooch
import requests
from tqdm import tqdm

from degrain.data.registry import RegisteredFile
from degrain.errors import DataError
from degrain.files import sha256_file

MIRROR, CACHE = "DEGRAIN_MIRROR", "DEGRAIN_CACHE"
CHUNK_BYTES = 64 * 1024
BAR: dict[str, Any] = {"desc": "download", "unit": "B", "unit_scale": True}
BAR |= {"delay": 3, "disable": None, "leave": False}


@dataclass(frozen=True)
class Patience:
    """How long to try.

    Attributes
    ----------
    connections : files that are fetched at once.
    timeout_s : longest time without a byte; attempts : of every file.
    first_wait_s : before the second attempt; doubles with every further one.
    """

    connections: int = 8
    timeout_s: float = 30.0
    attempts: int = 5
    first_wait_s: float = 1.0


DEFAULT = Patience()


def find_mirror(setting: str | None) -> str | None:
    """The folder or address to fetch from instead of the authors' hosts: DEGRAIN_MIRROR, else `setting`."""
    return os.environ.get(MIRROR) or setting


def cache_folder() -> Path:
    """Where downloads are kept, for all projects of the user: DEGRAIN_CACHE, else the system's place."""
    return Path(os.environ.get(CACHE) or pooch.os_cache("degrain")).expanduser() / "datasets"


def fetch(
    files: Iterable[RegisteredFile],
    *,
    mirror: str | None = None,
    cache: Path | None = None,
    patience: Patience = DEFAULT,
) -> dict[str, Path]:
    """Have all files on this machine, with the contents that are registered.

    Parameters
    ----------
    files : duplicates do not matter.
    mirror : a folder, whose files are used where they lie, or an http address; both laid out as
        OWNER/REPO/COMMIT/PATH. None for the authors' hosts.
    cache : where downloads go, and where those of earlier times are found; None for `cache_folder()`.

    Returns
    -------
    The file on this machine by `RegisteredFile.path`.

    Raises
    ------
    DataError : a file is missing, differs from what is registered, or cannot be fetched, or the cache
        cannot be used. Files that were finished stay in the cache.
    """
    wanted = list({file.path: file for file in files}.values())
    if mirror is not None and not mirror.startswith(("http://", "https://")):
        return _use_folder(wanted, mirror)
    folder = cache_folder() if cache is None else cache
    try:
        missing = [file for file in wanted if not _is_whole(folder / file.path, file)]
        _download_all(missing, folder, mirror, patience)
    except OSError as error:  # of the file system: those of the network are explained where they occur
        msg = (
            f"{folder}: expected a folder with room for downloads, found: {error}; "
            f"mend that, or have {CACHE} name another folder"
        )
        raise DataError(msg) from error
    return {file.path: folder / file.path for file in wanted}


def _use_folder(files: Sequence[RegisteredFile], mirror: str) -> dict[str, Path]:
    folder = Path(mirror).expanduser()
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        msg = f"{mirror}: expected a folder or an http address as mirror, found {found}; correct {_NAMES}"
        raise DataError(msg)
    _check_all_are_there(files, folder)
    for file in tqdm(files, "verify", delay=3, disable=None, leave=False):
        _check_file(folder / file.path, file)
    return {file.path: folder / file.path for file in files}


_NAMES = f"data.mirror in params.yaml or {MIRROR}"


def _check_all_are_there(files: Sequence[RegisteredFile], folder: Path) -> None:
    """One line for each set that is not complete."""
    absent: dict[str, list[RegisteredFile]] = {}
    for file in files:
        if not (folder / file.path).is_file():
            absent.setdefault(file.set, []).append(file)
    lines = [
        f"{name}: {len(those)} of the files wanted are not in the mirror {folder}, such as {those[0].path}; "
        f"put them there, or unset {_NAMES} to fetch them from {those[0].url}"
        for name, those in absent.items()
    ]
    if lines:
        raise DataError("\n".join(lines))


def _check_file(path: Path, file: RegisteredFile) -> None:
    found = sha256_file(path)
    if found != file.sha256:
        msg = (
            f"{path}: expected sha256 {file.sha256}, found {found}; the mirror's copy is damaged, "
            f"get it anew from {file.url}"
        )
        raise DataError(msg)


def _is_whole(path: Path, file: RegisteredFile) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes and sha256_file(path) == file.sha256


def _download_all(
    files: Sequence[RegisteredFile], folder: Path, mirror: str | None, patience: Patience
) -> None:
    pooch.get_logger().setLevel("WARNING")  # it announces every file
    size = sum(file.bytes for file in files)
    with (
        tqdm(total=size, **BAR) as bar,
        requests.Session() as session,
        ThreadPoolExecutor(patience.connections) as pool,
    ):
        # What is hashed are the bytes of the file, not of an encoding for the way.
        session.headers["Accept-Encoding"] = "identity"
        download = Download(folder, mirror, session, bar, patience)
        futures = [pool.submit(download, file) for file in files]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            download.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class StoppedError(Exception):
    """Another file failed, or the user has had enough."""


class Download:
    """Downloads a file, again after what may pass, on any thread; all bytes count on one bar."""

    def __init__(
        self, folder: Path, mirror: str | None, session: requests.Session, bar: tqdm[Any], patience: Patience
    ) -> None:
        self.folder, self.mirror, self.session = folder, mirror, session
        self.bar, self.patience = bar, patience
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def __call__(self, file: RegisteredFile) -> None:
        """Put the file below the folder; see `fetch`."""
        url = file.url if self.mirror is None else f"{self.mirror.rstrip('/')}/{quote(file.path)}"
        target = self.folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, self.patience.attempts + 1):
            if self._stopped.is_set():
                raise StoppedError
            try:
                # Written aside, verified, and only then given its name.
                pooch.retrieve(url, file.sha256, target.name, target.parent, downloader=self._stream)
            except requests.RequestException as error:
                if attempt == self.patience.attempts or not _may_pass(error):
                    raise DataError(_explain(file, url, error, attempt)) from error
                self._pause(attempt)
            except ValueError as error:
                msg = f"{file.set}: {url}: {error} See what is served there; it is not the registered file."
                raise DataError(msg) from error
            else:
                return

    def stop(self) -> None:
        """End what is under way."""
        self._stopped.set()

    def _pause(self, attempt: int) -> None:
        """Ever longer, and not for all files alike: the host may have had too much."""
        wait_s = self.patience.first_wait_s * 2 ** (attempt - 1)
        self._stopped.wait(wait_s * random.uniform(0.5, 1.5))

    def _stream(self, url: str, output_file: Any, _: object) -> None:
        """Write what the host sends; pooch calls it with the name of a temporary file."""
        received = 0
        try:
            with (
                self._ask(url) as response,
                Path(output_file).open("wb") as file,
            ):
                response.raise_for_status()
                for chunk in response.iter_content(CHUNK_BYTES):
                    if self._stopped.is_set():
                        raise StoppedError
                    received += file.write(chunk)
                    self._count(len(chunk))
        except BaseException:
            self._count(-received)  # it will come again
            raise

    def _ask(self, url: str) -> requests.Response:
        """What the host answers; requests names a wrong bundle of certificates by a plain OSError."""
        try:
            return self.session.get(url, stream=True, timeout=self.patience.timeout_s)
        except requests.RequestException:
            raise
        except OSError as error:
            msg = f"{url}: cannot be asked for: {error}"
            raise DataError(msg) from error

    def _count(self, received: int) -> None:
        with self._lock:
            self.bar.update(received)


def _may_pass(error: requests.RequestException) -> bool:
    """Whether another attempt may succeed: not where the host says that there is no such file."""
    if error.response is None:
        return not isinstance(error, ValueError)  # those are addresses that cannot be
    return error.response.status_code >= 500 or error.response.status_code in (408, 429)


def _explain(file: RegisteredFile, url: str, error: requests.RequestException, attempts: int) -> str:
    tries = f" (attempt {attempts})" if attempts > 1 else ""
    return (
        f"{file.set}: {url} could not be fetched{tries}: {error}; check the connection and run it again "
        f"(what is finished is kept), or name a mirror: {_NAMES}"
    )

"""One run of a stage at a time in one folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

ROOT = Path(".checkpoints")
logger = logging.getLogger(__name__)


@contextmanager
def alone(stage: str, *, root: Path = ROOT) -> Iterator[None]:
    """Hold the stage's lock; wait, and say for whom, while another process runs it in this tree.

    The system frees the lock when its holder ends, however it ends.
    """
    root.mkdir(parents=True, exist_ok=True)
    lock, holder = filelock.FileLock(root / f"{stage}.lock"), root / f"{stage}.pid"
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        pid = holder.read_text(encoding="utf-8").strip() if holder.exists() else "unknown"
        logger.warning(
            "%s is still being run in this folder by process %s, perhaps left by a dvc that was killed; "
            "waiting for it to end (kill %s ends it, and this goes on from there)",
            *(stage, pid, pid),
        )
        lock.acquire()
    try:
        holder.write_text(f"{os.getpid()}\n", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()

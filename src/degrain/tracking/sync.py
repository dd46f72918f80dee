"""Sending later what could not be sent: each entry once, however often it is interrupted."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from degrain.tracking.session import Session, Unwatched, is_refusal, quiet
from degrain.tracking.start import create_run, known_run, parent_tag, session_of
from degrain.tracking.store import Store, open_store, require_answer, without_login
from degrain.tracking.unsent import FOLDER, Origin, read_entries, read_origin, unsent_folders

MARK = "degrain.unsent"  # the tag by which a run is found that was made by a sync that was interrupted
logger = logging.getLogger(__name__)


class Sent(NamedTuple):
    """A folder that was looked at: the run's name, how many entries went, and why none did."""

    name: str
    run_id: str
    entries: int
    reason: str = ""


def sync(root: Path, uri: str) -> Iterator[Sent]:
    """Send what waits below `root` for the store at `uri`, oldest first, and delete it.

    Entries know whether the run has them already: so one that was sent before an interruption is not sent
    again.

    Raises
    ------
    ConnectionError, MlflowException : the store does not answer; what was not sent stays.
    """
    if not unsent_folders(root):
        return
    with FileLock(root / FOLDER / "sync.lock"):
        for folder in unsent_folders(root):
            origin = read_origin(folder)
            if origin.address != without_login(uri):
                yield Sent(_name(origin), "", 0, f"waits for the store at {origin.address}")
            else:
                yield _send(folder, origin, uri)


def _send(folder: Path, origin: Origin, uri: str) -> Sent:
    require_answer(uri)
    store = open_store(uri, origin.experiment)
    session, entries = _open(store, origin, folder.name), read_entries(folder)
    for entry in entries:
        try:
            with quiet():
                entry.deliver(session)
        except Exception as error:
            if not is_refusal(error):
                raise
            logger.warning("MLflow did not take an entry of run %s: %s", session.run_id, error)
    shutil.rmtree(folder)
    return Sent(_name(origin), session.run_id, len(entries))


def _open(store: Store, origin: Origin, mark: str) -> Session:
    """The run that the entries belong to, or a new one where the store has none."""
    run = known_run(store, origin.run_id) if origin.run_id else None
    if run is None:
        found = store.client.search_runs([store.experiment_id], f"tags.`{MARK}` = '{mark}'")
        run = found[0] if found else None
    if run is not None:
        return session_of(store, run, Unwatched())
    tags = origin.tags | {MARK: mark}
    if origin.tags["dvc.stage"] == "evaluate":
        tags |= parent_tag(store, origin.tags["model.sha256"])
    return Session(store, create_run(store, tags, started_ms=origin.started_ms), Unwatched())


def _name(origin: Origin) -> str:
    return origin.tags["mlflow.runName"]

"""What could not be sent, on disk: a folder a run, with JSON and files in it."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from degrain.files import write_json
from degrain.tracking.entries import Entry, read_entry, write_entry
from degrain.tracking.session import Delivery

FOLDER = Path(".checkpoints/unsent")
RUN = "run.json"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """The run that entries belong to.

    Attributes
    ----------
    address : of the store, without name and password.
    tags : that the run begins with.
    run_id : None where it has not begun in the store.
    """

    address: str
    experiment: str
    tags: dict[str, str]
    run_id: str | None
    started_ms: int


def write_unsent(root: Path, origin: Origin, deliveries: Sequence[Delivery]) -> None:
    """Keep what waits for a store below `root`, whole or not at all; a file that is gone is left out."""
    folder = root / FOLDER / f"{time.time_ns()}-{origin.tags['dvc.stage']}"
    aside = folder.with_name(f".tmp-{folder.name}")
    for index, entry in enumerate(one for one in deliveries if isinstance(one, Entry)):
        place = aside / f"{index:06}"
        try:
            write_entry(entry, place)
        except OSError as error:
            logger.warning("an entry of a run is lost, for its file cannot be read: %s", error)
            shutil.rmtree(place, ignore_errors=True)
    write_json(aside / RUN, asdict(origin))
    aside.rename(folder)


def unsent_folders(root: Path) -> list[Path]:
    """The folders that `write_unsent` made, oldest first."""
    return sorted(path.parent for path in (root / FOLDER).glob(f"[0-9]*/{RUN}"))


def read_origin(folder: Path) -> Origin:
    """The run that a folder's entries belong to."""
    return Origin(**json.loads((folder / RUN).read_text(encoding="utf-8")))


def read_entries(folder: Path) -> list[Entry]:
    """The entries, in the order in which they were to be sent."""
    return [read_entry(path.parent) for path in sorted(folder.glob("*/entry.json"))]

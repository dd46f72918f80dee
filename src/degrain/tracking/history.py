"""What the store remembers of a finished training."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from degrain.files import sha256_file
from degrain.tracking.store import open_store, project_root, tracking_uri


class Effort(TypedDict):
    """Of a training: its wall time, pauses after kills included, and what computed it; None if not known."""

    minutes: float | None
    engine: str | None
    threads: int | None


def training_effort(generator: Path, experiment: str) -> Effort:
    """What the run that trained a generator took."""
    store = open_store(tracking_uri(project_root(Path.cwd())), experiment)
    found = store.client.search_runs(
        [store.experiment_id],
        f"tags.`model.sha256` = '{sha256_file(generator)}' and tags.`dvc.stage` != 'evaluate'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    if not found or found[0].info.end_time is None:
        return Effort(minutes=None, engine=None, threads=None)
    info, tags = found[0].info, found[0].data.tags
    lasted_ms: int = info.end_time - info.start_time
    threads = int(tags["threads"]) if "threads" in tags else None
    return Effort(minutes=round(lasted_ms / 60_000, 1), engine=tags.get("engine"), threads=threads)

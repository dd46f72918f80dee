"""What the store remembers of a finished training."""

from __future__ import annotations

from pathlib import Path

from degrain.files import sha256_file
from degrain.tracking.store import open_store, project_root, tracking_uri


def training_minutes(generator: Path, experiment: str) -> float | None:
    """Wall time of the run that trained a generator, pauses after kills included; None if none is known."""
    store = open_store(tracking_uri(project_root(Path.cwd())), experiment)
    found = store.client.search_runs(
        [store.experiment_id],
        f"tags.`model.sha256` = '{sha256_file(generator)}' and tags.`dvc.stage` != 'evaluate'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    if not found or found[0].info.end_time is None:
        return None
    lasted_ms: int = found[0].info.end_time - found[0].info.start_time
    return round(lasted_ms / 60_000, 1)

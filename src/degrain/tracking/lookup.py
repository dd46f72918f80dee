"""Runs and their models, as the store has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from degrain.errors import DegrainError
from degrain.tracking.generator import logged_model_of
from degrain.tracking.logged import known_model
from degrain.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run as StoredRun

SHORTEST_ID = 4


@dataclass(frozen=True)
class RunRecord:
    """A run: its params by dotted name, the last values of its metrics, its tags."""

    run_id: str
    name: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]

    def __str__(self) -> str:
        return f"{self.name} {self.run_id[:8]}"


def find_run(store: Store, wanted: str) -> RunRecord:
    """The run of an id, of the beginning of one, or the newest of a name; a training's with the metrics of
    its newest evaluation.

    Raises
    ------
    DegrainError : there is none, or several ids begin so.
    """
    newest_first = ["attributes.start_time DESC"]
    every = store.client.search_runs([store.experiment_id], order_by=newest_first, max_results=50000)
    by_id = [run for run in every if len(wanted) >= SHORTEST_ID and run.info.run_id.startswith(wanted)]
    if len(by_id) > 1:
        msg = f"run {wanted!r}: {len(by_id)} ids begin so; expected one: give more of it"
        raise DegrainError(msg)
    found = by_id or [run for run in every if run.info.run_name == wanted]
    if not found:
        have = ", ".join(f"{run.info.run_name} {run.info.run_id[:8]}" for run in every[:5]) or "none"
        msg = f"run {wanted!r}: not found; expected an id, its beginning or a name; the newest are: {have}"
        raise DegrainError(msg)
    return _record(found[0], _evaluation_of(found[0], every))


def fetch_generator(store: Store, run: RunRecord, folder: Path) -> Path | None:
    """Copy the safetensors file of the model that a run logged or evaluated; None if the store has none."""
    import mlflow

    model_id = logged_model_of(store, run.run_id, "service")
    if model_id is None:
        known = known_model(store, run.tags["model.sha256"]) if "model.sha256" in run.tags else None
        model_id = known[1] if known else None
    if model_id is None:
        return None
    uri = f"{store.client.get_logged_model(model_id).artifact_location}/artifacts/generator.safetensors"
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))


def _evaluation_of(run: StoredRun, every: list[StoredRun]) -> StoredRun | None:
    """The newest evaluation of the model that a training made."""
    sha256 = run.data.tags.get("model.sha256")
    return next(
        (
            one
            for one in every
            if sha256
            and one.data.tags.get("dvc.stage") == "evaluate"
            and one.data.tags.get("model.sha256") == sha256
        ),
        None,
    )


def _record(run: StoredRun, evaluation: StoredRun | None) -> RunRecord:
    metrics = {**run.data.metrics, **(evaluation.data.metrics if evaluation else {})}
    return RunRecord(
        run.info.run_id,
        str(run.info.run_name),
        dict(run.data.params),
        {name: value for name, value in metrics.items() if not name.startswith("system/")},
        dict(run.data.tags),
    )

"""The logged model of a generator: the one of its training, or a new one."""

from __future__ import annotations

from pathlib import Path

from degrain.files import sha256_file
from degrain.params import Params
from degrain.tracking.describe import deliver_description, describe, flatten, sha256_files
from degrain.tracking.generator import deliver_generator, logged_model_of
from degrain.tracking.session import Session, Unwatched
from degrain.tracking.start import DATA
from degrain.tracking.store import Store


def logged_model(
    store: Store, weights: Path, params: Params, faithful: Path | None = None
) -> tuple[str, str]:
    """The ids of the run that logged a generator, and of its logged model for image files.

    The store may not know it: a model out of a cache or from another machine, or trained while the
    server was away. Then it is logged, by a run of its own.
    """
    sha256 = sha256_file(weights)
    return known_model(store, sha256) or _log(store, weights, faithful, params)


def known_model(store: Store, sha256: str) -> tuple[str, str] | None:
    """The same, or None where the store does not know the model.

    Parameters
    ----------
    sha256 : of the safetensors file.
    """
    runs = store.client.search_runs(
        [store.experiment_id],
        f"tags.`model.sha256` = '{sha256}' and tags.`dvc.stage` != 'evaluate'",
        order_by=["attributes.start_time DESC"],
    )
    for run in runs:
        model_id = logged_model_of(store, run.info.run_id, "service")
        if model_id:
            return run.info.run_id, model_id
    return None


def _log(store: Store, weights: Path, faithful: Path | None, params: Params) -> tuple[str, str]:
    hashes = sha256_files(DATA)
    tags = describe("train", params, hashes)
    tags |= {"mlflow.runName": "registered", "model.sha256": sha256_file(weights)}
    session = Session(store, store.client.create_run(store.experiment_id, tags=tags).info.run_id, Unwatched())
    deliver_description(session, "train", flatten(params, "train"), hashes)
    model_id = deliver_generator(session, "service", weights, faithful)
    session.end("FINISHED")
    return session.run_id, model_id

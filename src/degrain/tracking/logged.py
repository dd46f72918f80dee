"""The logged model of a generator: the one of its training, or a new one."""

from __future__ import annotations

from pathlib import Path

from degrain.files import sha256_file
from degrain.params import Params
from degrain.tracking.describe import deliver_description, describe, sha256_files
from degrain.tracking.generator import deliver_generator
from degrain.tracking.session import Session
from degrain.tracking.start import DATA
from degrain.tracking.store import Store


class _Unwatched:
    """No monitor: nothing is computed."""

    def start(self) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


def logged_model(store: Store, weights: Path, params: Params) -> tuple[str, str]:
    """The ids of the run that logged a generator, and of its logged model.

    The store may not know it: a model out of a cache or from another machine, or trained while the
    server was away. Then it is logged, by a run of its own.
    """
    sha256 = sha256_file(weights)
    return _known(store, sha256) or _log(store, weights, sha256, params)


def _known(store: Store, sha256: str) -> tuple[str, str] | None:
    runs = store.client.search_runs(
        [store.experiment_id],
        f"tags.`model.sha256` = '{sha256}' and tags.`dvc.stage` != 'evaluate'",
        order_by=["attributes.start_time DESC"],
    )
    for run in runs:
        models = store.client.search_logged_models(
            [store.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
        )
        ready = [model for model in models if str(model.status) == "READY"]
        if ready:
            return run.info.run_id, ready[0].model_id
    return None


def _log(store: Store, weights: Path, sha256: str, params: Params) -> tuple[str, str]:
    hashes = sha256_files(DATA)
    tags = describe("train", hashes) | {"mlflow.runName": "registered", "model.sha256": sha256}
    session = Session(
        store, store.client.create_run(store.experiment_id, tags=tags).info.run_id, _Unwatched()
    )
    deliver_description(session, "train", params, hashes)
    model_id = deliver_generator(session, weights)
    session.end("FINISHED")
    return session.run_id, model_id

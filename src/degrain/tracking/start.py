"""How runs begin: fresh, continued after a kill, or below the training whose model they evaluate."""

from __future__ import annotations

import json
import logging
import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from degrain.files import sha256_file, write_json
from degrain.params import Params
from degrain.tracking.describe import describe, flatten, is_gone, sha256_files
from degrain.tracking.entries import Description
from degrain.tracking.run import Run
from degrain.tracking.session import Delivery, Monitor, Outbox, Session, is_refusal
from degrain.tracking.store import Lacks, Store, open_store, project_root, tracking_uri, without_login
from degrain.tracking.unsent import Origin, write_unsent
from degrain.tracking.view import missing_tags

if TYPE_CHECKING:
    from mlflow.entities import Run as StoredRun

# Between them they hold the hash of every image.
DATA = (Path("data/raw/manifest.csv"), Path("data/noisy/manifest.csv"), Path("data/patches/index.json"))
PICTURE_FILE = re.compile(r"images/(?P<key>.+)[+%]step[+%](?P<step>\d+)[+%]timestamp.*")


@contextmanager
def training_run(
    stage: str,
    params: Params,
    folder: Path,
    *,
    pretrained: Path | None = None,
    data: Sequence[Path] = DATA,
) -> Iterator[Run]:
    """Follow a training stage in MLflow.

    Parameters
    ----------
    stage : pretrain or train.
    folder : of the stage's checkpoint, where the run is remembered: a training that was killed goes on
        in the same run. Where the store does not know that run, a fresh one begins.
    pretrained : the generator that the training starts from.
    data : files that stand for all data of the stage.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remembered, hashes = folder / "mlflow_run.json", sha256_files(data)
    tags = describe(stage, params, hashes)
    if pretrained:
        tags["pretrained.sha256"] = sha256_file(pretrained)

    def open_run(store: Store) -> Session:
        return continued_or_new(store, tags, remembered)

    described = Description(stage, flatten(params, stage), hashes)
    with follow(params.tracking.experiment, described, tags, open_run) as run:
        yield run


@contextmanager
def evaluation_run(
    params: Params, model: Path, *, pretrained: Path | None = None, data: Sequence[Path] = DATA
) -> Iterator[Run]:
    """Follow an evaluation in MLflow, as a child of the run that trained the model.

    Where the store does not know that run (a model out of a cache or from another machine), the
    evaluation stands alone.

    Parameters
    ----------
    model : the generator that the last training stage wrote.
    pretrained : the one that the training started from.
    data : files that stand for all data of the stage.
    """
    hashes = sha256_files(data)
    tags = describe("evaluate", params, hashes) | {"model.sha256": sha256_file(model)}
    if pretrained:
        tags["pretrained.sha256"] = sha256_file(pretrained)

    def open_run(store: Store) -> Session:
        return new_session(store, tags | parent_tag(store, tags["model.sha256"]))

    described = Description("evaluate", flatten(params, "evaluate"), hashes)
    with follow(params.tracking.experiment, described, tags, open_run) as run:
        yield run


@contextmanager
def follow(
    experiment: str,
    described: Description,
    tags: dict[str, str],
    open_run: Callable[[Store], Session],
    *,
    top: Path | None = None,
    lacks: Lacks = missing_tags,
) -> Iterator[Run]:
    """A run from its first entries to its end, whichever way the stage ends.

    Parameters
    ----------
    top : of the project; None where it is the working directory.
    lacks : what the experiment's own tags lack; see `open_store`.
    """
    root, started_ms = project_root(top or Path.cwd()), time.time_ns() // 1_000_000
    uri = tracking_uri(root)

    def open_session() -> Session:
        store = open_store(uri, experiment, lacks=lacks)
        session = open_run(store)
        session.monitor.start()
        return session

    def keep(deliveries: Sequence[Delivery], run_id: str | None) -> None:
        origin = Origin(without_login(uri), experiment, tags, run_id, started_ms)
        write_unsent(root, origin, deliveries)

    outbox = Outbox(uri, open_session, keep)
    outbox.put(described)
    outbox.put(_KilledRuns())
    run = Run(outbox)
    try:
        yield run
    except BaseException as error:
        run.close("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    run.close("FINISHED")


def continued_or_new(store: Store, tags: dict[str, str], remembered_in: Path) -> Session:
    """The run of a training that was killed, or a fresh one, which is remembered."""
    return _continue(store, tags, remembered_in) or new_session(store, tags, remembered_in)


def new_session(store: Store, tags: dict[str, str], remember_in: Path | None = None) -> Session:
    """A fresh run, remembered in a file if one is named."""
    run_id = create_run(store, tags)
    # By the time a store comes back, the training may have ended and its checkpoint be gone.
    if remember_in and remember_in.parent.is_dir():
        write_json(remember_in, {"run_id": run_id})
    return Session(store, run_id, _monitor(run_id))


def create_run(store: Store, tags: dict[str, str], *, started_ms: int | None = None) -> str:
    """Begin a run, now or at a time in milliseconds since 1970; returns its id."""
    return str(store.client.create_run(store.experiment_id, started_ms, tags).info.run_id)


def _continue(store: Store, tags: dict[str, str], remembered_in: Path) -> Session | None:
    """The run of a process that was killed, if the store still has it."""
    run = _remembered(store, remembered_in)
    if run is None:
        return None
    run_id = run.info.run_id
    store.client.set_tag(run_id, "degrain.process", tags["degrain.process"])
    store.client.update_run(run_id, "RUNNING")
    return session_of(store, run, _monitor(run_id, continued=True))


def session_of(store: Store, run: StoredRun, monitor: Monitor) -> Session:
    """A session of a run that has something already."""
    client, run_id = store.client, run.info.run_id
    curves = [name for name in run.data.metrics if not name.startswith("system/")]
    files = [PICTURE_FILE.fullmatch(file.path) for file in client.list_artifacts(run_id, "images")]
    return Session(
        store,
        run_id,
        monitor,
        known_steps={
            name: frozenset(point.step for point in client.get_metric_history(run_id, name))
            for name in curves
        },
        pictures=frozenset((file["key"], int(file["step"])) for file in files if file),
    )


def _remembered(store: Store, file: Path) -> StoredRun | None:
    try:
        run_id = json.loads(file.read_text(encoding="utf-8"))["run_id"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return known_run(store, run_id)


def known_run(store: Store, run_id: str) -> StoredRun | None:
    """The run of an id, if the store has it, in this experiment and not deleted."""
    from mlflow.exceptions import MlflowException

    try:
        run = store.client.get_run(run_id)
    except MlflowException as error:
        if is_refusal(error):
            return None
        raise
    usable = run.info.experiment_id == store.experiment_id and run.info.lifecycle_stage == "active"
    return run if usable else None


def parent_tag(store: Store, model_sha256: str) -> dict[str, str]:
    """The tag that puts a run below the newest one that trained the model."""
    found = store.client.search_runs(
        [store.experiment_id],
        f"tags.`model.sha256` = '{model_sha256}' and tags.`dvc.stage` != 'evaluate'",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    return {"mlflow.parentRunId": found[0].info.run_id} if found else {}


class _KilledRuns:
    """A process that was killed could not end its run; the next one on the same machine does."""

    def deliver(self, session: Session) -> None:
        """End those of this machine."""
        store = session.store
        running = store.client.search_runs(
            [store.experiment_id],
            f"attributes.status = 'RUNNING' and tags.`degrain.process` LIKE '{platform.node()}:%'",
        )
        for run in running:
            if is_gone(run.data.tags["degrain.process"]):
                store.client.set_terminated(run.info.run_id, "KILLED")


def _monitor(run_id: str, *, continued: bool = False) -> Monitor:
    """Sample processor, memory, disk and network every ten seconds (MLflow has a variable for it)."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    # It would tell a second time that a server is away.
    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
    return SystemMetricsMonitor(run_id, resume_logging=continued)  # type: ignore[no-untyped-call]

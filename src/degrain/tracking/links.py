"""Where people find the runs of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from degrain.tracking.store import (
    SERVERS,
    open_store,
    project_root,
    require_answer,
    tracking_uri,
    without_login,
)

if TYPE_CHECKING:
    from mlflow.entities import Run


class RunLink(NamedTuple):
    """A run; `address` of its page, None where no server shows it."""

    stage: str
    run_id: str
    address: str | None


def runs_of_model(sha256: str, experiment: str) -> list[RunLink]:
    """The newest run of each stage that made or measured a model, in the stages' order.

    Parameters
    ----------
    sha256 : of the generator that `train` wrote.
    experiment : the name of the experiment.

    Raises
    ------
    OSError : the store does not answer, or not as it should.
    """
    from mlflow.exceptions import MlflowException

    uri = tracking_uri(project_root(Path.cwd()))
    require_answer(uri)
    try:
        store = open_store(uri, experiment)
        own = _newest(store.client.search_runs([store.experiment_id], _tagged("model.sha256", sha256)))
        before = [run.data.tags.get("pretrained.sha256") for run in own.values()]
        for pretrained in filter(None, before[:1]):
            found = store.client.search_runs([store.experiment_id], _tagged("model.sha256", pretrained))
            own = _newest([run for run in found if run.data.tags["dvc.stage"] == "pretrain"]) | own
    except MlflowException as error:
        raise ConnectionError(str(error)) from error
    return [RunLink(stage, run.info.run_id, _address(uri, run)) for stage, run in own.items()]


def _newest(runs: list[Run]) -> dict[str, Run]:
    """By stage; search_runs gives the newest first."""
    found: dict[str, Run] = {}
    for run in runs:
        found.setdefault(run.data.tags["dvc.stage"], run)
    return dict(sorted(found.items(), key=lambda item: item[1].info.start_time))


def _tagged(name: str, value: str) -> str:
    return f"tags.`{name}` = '{value}'"


def _address(uri: str, run: Run) -> str | None:
    if not uri.startswith(SERVERS):
        return None
    return f"{without_login(uri).rstrip('/')}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"

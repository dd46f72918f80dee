"""Where runs are kept: the address of the store, its first initialisation, the experiment."""

from __future__ import annotations

import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from degrain.errors import DegrainError
from degrain.tracking.view import missing_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

SQLITE = "sqlite:///"
SERVERS = ("http://", "https://")
Lacks = Callable[[Mapping[str, str]], dict[str, str]]

PROBE_TIMEOUT_S = 3
# Creating the tables takes some seconds; whoever comes second waits for it.
INITIALISE_TIMEOUT_S = 120

# What we would rather have than MLflow's defaults, where the user has not chosen.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # 7 take four minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True)
class Store:
    """An open store and the experiment in it that runs belong to."""

    client: MlflowClient
    experiment_id: str


def project_root(folder: Path) -> Path:
    """The project that `folder` is a checkout of: itself, or the one whose temporary experiment it is.

    `dvc exp run --temp` and `--queue` work in <project>/.dvc/tmp/exps/<...>, which is deleted afterwards.
    """
    for parent in folder.parents:
        if parent.parts[-3:] == (".dvc", "tmp", "exps"):
            return parent.parents[2]
    return folder


def tracking_uri(root: Path) -> str:
    """`MLFLOW_TRACKING_URI`, or mlflow.db in the project; always absolute, as experiments run elsewhere."""
    given = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    if given.startswith(SQLITE):
        return f"{SQLITE}{root / given.removeprefix(SQLITE)}"
    return given


def without_login(uri: str) -> str:
    """An address without the user's name and password, if they stand in it."""
    return re.sub("//[^/@]*@", "//", uri)


def take_login(uri: str) -> str:
    """Hand over by MLflow's variables the name and password that an address holds: MLflow prints addresses.

    Returns
    -------
    The address without them.
    """
    parts = urlsplit(uri)
    if not uri.startswith(SERVERS) or parts.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return without_login(uri)


def require_answer(uri: str) -> None:
    """Find out in seconds what MLflow's own client would find out in minutes.

    Raises
    ------
    ConnectionError : no server answers at `uri`.
    """
    if not uri.startswith(SERVERS):
        return
    try:
        urllib.request.urlopen(f"{without_login(uri).rstrip('/')}/health", timeout=PROBE_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        return  # an answer, too
    except OSError as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):  # MLflow has settings of its own for certificates
            msg = f"no answer ({reason})"
            raise ConnectionError(msg) from error


@contextmanager
def told(uri: str) -> Iterator[None]:
    """Tell the user what goes wrong with the store at `uri`, where a command cannot do without it.

    Raises
    ------
    DegrainError : the store does not answer, or refuses something.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, ConnectionError) as error:
        msg = (
            f"MLflow at {without_login(uri)}: {error}; expected a store that answers: start the server, log "
            "in (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD), or name another in MLFLOW_TRACKING_URI"
        )
        raise DegrainError(msg) from error


def open_store(uri: str, experiment: str, *, lacks: Lacks = missing_tags) -> Store:
    """Open the store at `uri`, creating its tables and the experiment where they are missing.

    Parameters
    ----------
    lacks : what the experiment's tags lack, which it is given.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow

    database = Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None
    # The folder must not be the working directory of whoever comes first, which is MLflow's default.
    artifacts = str(database.parent / "mlartifacts") if database else None
    mlflow.set_tracking_uri(take_login(uri))
    with _initialising_alone(database):
        client = mlflow.MlflowClient()
        return Store(client, _experiment_id(client, experiment, artifacts, lacks))


def _initialising_alone(database: Path | None) -> AbstractContextManager[object]:
    """Two processes that create the tables of one database at once break each other's work."""
    if database is None:
        return nullcontext()
    database.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{database}-lock", timeout=INITIALISE_TIMEOUT_S)


def _experiment_id(client: MlflowClient, name: str, artifacts: str | None, lacks: Lacks) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name) or _created(client, name, artifacts)
    with suppress(MlflowException):  # who may only read does without
        for tag, value in lacks(experiment.tags).items():
            client.set_experiment_tag(experiment.experiment_id, tag, value)
    return str(experiment.experiment_id)


def _created(client: MlflowClient, name: str, artifacts: str | None) -> Experiment:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_experiment(client.create_experiment(name, artifact_location=artifacts))
    except MlflowException:
        # Another client of the same server was faster.
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            raise
        return experiment

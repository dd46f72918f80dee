"""Models as a server gets them: which version an alias stands for, and its files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from degrain.errors import DegrainError
from degrain.tracking.registry import CARD_FOLDER
from degrain.tracking.store import (
    ENVIRONMENT,
    SQLITE,
    project_root,
    require_answer,
    take_login,
    tracking_uri,
    without_login,
)

MODELS = "models:/"
ALIAS = re.compile(r"models:/(?P<name>[^/@]+)@(?P<alias>[^/@]+)")


def find_version(uri: str) -> str:
    """The model that a URI stands for now: of an alias, models:/NAME/VERSION; others stay as they are.

    Raises
    ------
    DegrainError : there is no such model or alias.
    ConnectionError : the store does not answer.
    """
    match = ALIAS.fullmatch(uri)
    if match is None:
        return uri
    store = _open()
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        version = mlflow.MlflowClient().get_model_version_by_alias(match["name"], match["alias"])
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            msg = f"{uri}: no such model or alias in {store}; `degrain promote` sets champion"
            raise DegrainError(msg) from error
        msg = f"{store}: {error}"
        raise ConnectionError(msg) from error
    return f"models:/{version.name}/{version.version}"


def fetch_model(uri: str, folder: Path) -> Path:
    """Copy the files of a model into a folder that is made; gives where among them MLmodel lies.

    Raises
    ------
    DegrainError : there is no such model, or its files cannot be had.
    """
    _open()
    import mlflow
    from mlflow.exceptions import MlflowException

    folder.mkdir()
    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        msg = f"{uri}: the files of the model cannot be had; {error}"
        raise DegrainError(msg) from error


def fetch_reference(uri: str, folder: Path) -> Path:
    """Copy the table of features that drift is told by, of models:/NAME/VERSION or an alias, into a folder.

    Raises
    ------
    DegrainError : there is no such model or alias, or nothing was kept with it.
    ConnectionError : the store does not answer.
    """
    store, name, number = _open(), *find_version(uri).removeprefix(MODELS).rpartition("/")[::2]
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        run_id = mlflow.MlflowClient().get_model_version(name, number).run_id
        table = f"runs:/{run_id}/{CARD_FOLDER}/reference.csv"
        return Path(mlflow.artifacts.download_artifacts(table, dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        msg = f"{uri}: no reference in {store} ({error}); `degrain register` keeps one with each version"
        raise DegrainError(msg) from error


def _open() -> str:
    """Point MLflow at the store, as stages do; gives its address. A database is not made."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    uri = tracking_uri(project_root(Path.cwd()))
    require_answer(uri)
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE).partition("?")[0]).exists():
        msg = (
            f"{uri}: no such database; `make repro`, `degrain register` and `degrain promote` "
            "make one with a model in it, and MLFLOW_TRACKING_URI names another store"
        )
        raise DegrainError(msg)
    import mlflow

    mlflow.set_tracking_uri(take_login(uri))
    return without_login(uri)

"""Runs of the pipelines below `experiments/`: in the project's store, each in an experiment of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from degrain.files import sha256_file
from degrain.tracking.describe import describe_run, dotted, sha256_files
from degrain.tracking.entries import Description
from degrain.tracking.run import Run
from degrain.tracking.session import Session
from degrain.tracking.start import continued_or_new, follow, new_session, parent_tag
from degrain.tracking.store import Store
from degrain.tracking.view import NOTE


@dataclass(frozen=True)
class Told:
    """What MLflow is told of a stage of an experiment's pipeline when it begins.

    Attributes
    ----------
    experiment : its name in MLflow, and what its page says of it, in Markdown.
    note : what the run does, in a line.
    params : nested settings that the stage depends on.
    data : files that stand for all its data.
    """

    experiment: str
    about: str
    stage: str
    note: str
    params: Mapping[str, Any]
    data: Sequence[Path]


@contextmanager
def experiment_run(told: Told, folder: Path | None = None, *, model: Path | None = None) -> Iterator[Run]:
    """Follow a stage in MLflow, as `training_run` and `evaluation_run` do.

    Parameters
    ----------
    folder : of the training's checkpoint, where the run is remembered, so that a killed one goes on.
    model : what is evaluated; the run is then a child of the one that trained it.
    """
    top, hashes = _top(), sha256_files(told.data)
    tags = describe_run(told.stage, told.note, hashes, top)
    if model:
        tags["model.sha256"] = sha256_file(model)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)

    def open_run(store: Store) -> Session:
        if folder:
            return continued_or_new(store, tags, folder / "mlflow_run.json")
        return new_session(store, tags | (parent_tag(store, tags["model.sha256"]) if model else {}))

    def lacks(tags: Mapping[str, str]) -> dict[str, str]:
        return {} if NOTE in tags else {NOTE: told.about}

    described = Description(told.stage, dict(dotted(told.params)), hashes)
    with follow(told.experiment, described, tags, open_run, top=top, lacks=lacks) as run:
        yield run


def _top() -> Path:
    """The project that the working directory lies in: the nearest folder above that has a `.dvc`."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)

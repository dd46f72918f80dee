"""What is written down of a run when it begins: tags, params, data."""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from degrain.files import sha256_bytes, sha256_file
from degrain.params import Params
from degrain.tracking.session import Session
from degrain.tracking.view import NOTE, note

STAGES = ("pretrain", "train", "evaluate")
PARAMS_AT_ONCE = 100  # the most that MLflow takes

# What the pipeline itself writes and git keeps; it says nothing about the code or the params.
MADE_HERE = ("dvc.lock", "reports")


def sha256_files(paths: Sequence[Path]) -> dict[str, str]:
    """The hash of every file that is there, by its path."""
    return {path.as_posix(): sha256_file(path) for path in paths if path.is_file()}


def describe(stage: str, params: Params, hashes: Mapping[str, str]) -> dict[str, str]:
    """The tags of a run of this process.

    Parameters
    ----------
    hashes : SHA-256 of the files that stand for the data, by path.
    """
    return describe_run(stage, note(stage, params), hashes)


def describe_run(stage: str, said: str, hashes: Mapping[str, str], top: Path = Path()) -> dict[str, str]:
    """The same of a stage of any pipeline.

    Parameters
    ----------
    said : what the run did, in a line.
    top : of the project, where the pipeline lies elsewhere in it.
    """
    experiment = os.environ.get("DVC_EXP_NAME")  # DVC sets it in `dvc exp run`
    tags = {
        "mlflow.runName": f"{stage} ({experiment})" if experiment else stage,
        NOTE: said,
        "mlflow.user": _user(),
        "mlflow.source.name": f"degrain.stages.{stage}",
        "mlflow.source.type": "LOCAL",
        "dvc.stage": stage,
        "degrain.process": this_process(),
    }
    if hashes:
        tags["data.sha256"] = _sha256_of_all(hashes)
    if experiment:
        tags["dvc.exp"] = experiment
    git = git_tags(top)
    return tags | git | ({"mlflow.source.git.commit": git["git.commit"]} if git else {})


def git_tags(top: Path = Path()) -> dict[str, str]:
    """The commit at work, and whether what git keeps differs from it below `top`."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {}
    others = (f":(exclude){folder / path}" for folder in {Path(), top} for path in MADE_HERE)
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", str(top), *others)
    dirty = json.dumps(bool(changes))
    return {"git.commit": commit, "git.dirty": dirty}


def deliver_description(
    session: Session, stage: str, params: Mapping[str, str], hashes: Mapping[str, str]
) -> None:
    """Send the params, as `flatten` gives them, and the data sets that the run does not have yet."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    run = session.client.get_run(session.run_id)
    entries = [Param(*setting) for setting in params.items() if setting[0] not in run.data.params]
    for start in range(0, len(entries), PARAMS_AT_ONCE):
        session.client.log_batch(session.run_id, params=entries[start : start + PARAMS_AT_ONCE])
    if run.inputs and run.inputs.dataset_inputs:
        return
    context = InputTag("mlflow.data.context", "testing" if stage == "evaluate" else "training")
    data = [
        # MLflow keeps 36 characters of a digest.
        Dataset(path, digest[:36], "local", json.dumps({"uri": path}), *_outline(Path(path), digest))
        for path, digest in hashes.items()
    ]
    session.client.log_inputs(session.run_id, [DatasetInput(one, [context]) for one in data])


def _outline(path: Path, digest: str) -> tuple[str | None, str | None]:
    """The columns and the number of rows of a table, as MLflow shows them; None of other or changed files."""
    if path.suffix != ".csv" or not path.is_file() or sha256_file(path) != digest:
        return None, None
    import pandas as pd

    frame = pd.read_csv(path)
    kinds = {"i": "long", "f": "double", "b": "boolean"}
    columns = [
        {"name": name, "type": kinds.get(column.dtype.kind, "string"), "required": True}
        for name, column in frame.items()
    ]
    return json.dumps({"mlflow_colspec": columns}), json.dumps({"num_rows": len(frame)})


def flatten(params: Params, stage: str) -> dict[str, str]:
    """Every setting that a stage can depend on, by dotted name: all but what comes after it."""
    values = params.model_dump(mode="json", exclude={*STAGES[STAGES.index(stage) + 1 :], "promote"})
    return dict(dotted(values))


def dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every value of nested mappings by its dotted name, those that are no text as JSON."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value if isinstance(value, str) else json.dumps(value)


def this_process() -> str:
    """Machine, process id and start of this process, which nobody else will ever have."""
    process = psutil.Process()
    return f"{platform.node()}:{process.pid}:{process.create_time():.2f}"


def is_gone(process: str) -> bool:
    """Whether a process of this machine, as `this_process` names it, has ended."""
    machine, pid, started_s = process.rsplit(":", 2)
    if machine != platform.node():
        return False
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(started_s)) > 1
    except psutil.NoSuchProcess:
        return True


def _sha256_of_all(hashes: Mapping[str, str]) -> str:
    """The one hash, or a hash of all paths and hashes."""
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    return sha256_bytes(json.dumps(sorted(hashes.items())).encode())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # containers may run under an id without a name
        return "unknown"


def _git(*arguments: str) -> str:
    """What git says, or nothing where there is no git or no commit."""
    try:
        answer = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()

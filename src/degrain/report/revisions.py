"""What git and DVC know of an earlier state of the project."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple

from degrain.errors import DegrainError

METRICS, PARAMS = "reports/metrics.json", "params.yaml"


class Change(NamedTuple):
    """A value that differs; None where there is none."""

    key: str
    before: object
    now: object


def commit_of(revision: str) -> str:
    """The 40 hexadecimal digits of a branch, tag or commit.

    Raises
    ------
    DegrainError : git knows no such commit.
    """
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found is None:
        msg = (
            f"{revision!r}: git knows no such commit here; fetch it (git fetch --unshallow?), or name another"
        )
        raise DegrainError(msg)
    return found.decode().strip()


def file_at(commit: str, path: PurePath) -> bytes | None:
    """What a file held at a commit; None if it was not there."""
    return _git("cat-file", "blob", f"{commit}:{path.as_posix()}")


def changed_params(commit: str) -> list[Change]:
    """The params that differ between a commit and the working tree, by name."""
    return _changes("params", commit, PARAMS)


def changed_metrics(commit: str) -> list[Change]:
    """The figures of reports/metrics.json that differ between a commit and the working tree, by name."""
    return _changes("metrics", commit, METRICS)


def _changes(kind: str, commit: str, path: str) -> list[Change]:
    """What `dvc params diff` or `dvc metrics diff` says of one file."""
    command = [sys.executable, "-m", "dvc", kind, "diff", "--json", commit, "--targets", path]
    answer = _output(command)
    if answer is None:
        msg = f"`{' '.join(command[2:])}` failed; run it by hand to see why"
        raise DegrainError(msg)
    found = json.loads(answer or b"{}").get(path, {})
    return [Change(key, values.get("old"), values.get("new")) for key, values in sorted(found.items())]


def _git(*arguments: str) -> bytes | None:
    return _output(["git", *arguments])


def _output(command: Sequence[str]) -> bytes | None:
    """What a command prints; None if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        msg = f"{command[0]}: not found; install it, the report compares with what it keeps"
        raise DegrainError(msg) from None
    return None if done.returncode else done.stdout

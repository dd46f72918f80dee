"""Real MLflow stores for tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from support import ROOT

if TYPE_CHECKING:
    import pytest

OPEN_A_STORE = """
from pathlib import Path
from degrain.tracking.store import open_store, project_root, tracking_uri
print(open_store(tracking_uri(project_root(Path.cwd())), "initial").experiment_id)
"""


def python(code: str, folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Run code in a process of its own, as a stage would be."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))}
    environment = clean | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"} | variables
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@cache
def opened_by_two_at_once() -> tuple[bytes, list[str], list[str]]:
    """A new database, and what two processes that opened it together printed and complained of.

    MLflow takes seconds to make a database, so it is made once and copied; and thrice as long on a disk
    that it waits for.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        answers = [process.communicate() for process in [python(OPEN_A_STORE, folder) for _ in range(2)]]
        database = (folder / "mlflow.db").read_bytes()
    return database, [out.strip() for out, _ in answers], [complaint.strip() for _, complaint in answers]


def enter_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a project with data and an empty store."""
    for variable in [name for name in os.environ if name.startswith(("MLFLOW_", "DVC_"))]:
        monkeypatch.delenv(variable)
    # What tracking and MLflow set on their own must not outlive the test.
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    (folder / "mlflow.db").write_bytes(opened_by_two_at_once()[0])
    (folder / "data.csv").write_text("name\nastronaut\n", encoding="utf-8")
    monkeypatch.chdir(folder)

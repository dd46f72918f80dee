"""Real MLflow stores for tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from support import ROOT

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


@contextmanager
def running_server(folder: Path, port: int | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real server whose database and artifacts lie in `folder`: its address and its process.

    Parameters
    ----------
    port : None takes a free one.
    """
    if not (folder / "server.db").exists():
        (folder / "server.db").write_bytes(opened_by_two_at_once()[0])
    port = port or free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", "sqlite:///server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    variables = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | variables, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/health", process, folder / "log")
        yield f"http://127.0.0.1:{port}", process
    finally:
        stop(process)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def wait_until_it_answers(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"the server did not start:\n{log.read_text()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and the workers that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

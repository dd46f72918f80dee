from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from mlflow_support import opened_by_two_at_once, python
from support import ROOT

pytestmark = pytest.mark.slow

TRAIN = f"""
import sys
from pathlib import Path
import numpy as np
from degrain.params import load_params
from degrain.tracking import training_run
params = load_params(Path({str(ROOT / "params.yaml")!r}))
with training_run("pretrain", params, Path(sys.argv[1]), data=[]) as run:
    for step in range(1, 1001):
        run.log_metrics(step, {{"pixel": 1 / step}})
    run.log_picture("astronaut", 1000, np.zeros((4, 4, 3), np.float32))
    if sys.argv[1] == "interrupted":
        print("waiting", flush=True)
        input()
        run.log_metrics(1001, {{"pixel": 0.0}})
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real server: its address and its process."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "server.db").write_bytes(opened_by_two_at_once()[0])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += [
        "--backend-store-uri",
        "sqlite:///server.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
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


def wait_until_it_answers(address, process, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"the server did not start:\n{log.read_text()}")


def stop(process):
    """End the server and the workers that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def train(server, folder, name):
    return python(TRAIN, folder, name, MLFLOW_TRACKING_URI=server)


def test_two_clients_may_begin_at_once(server, tmp_path):
    import mlflow

    address, _ = server
    for client in [train(address, tmp_path, name) for name in ("first", "second")]:
        out, complaint = client.communicate()
        assert (client.returncode, complaint) == (0, "")
        assert out.count("View run") == 1

    store = mlflow.MlflowClient(address)
    runs = store.search_runs([store.get_experiment_by_name("degrain").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    for run in runs:
        points = store.get_metric_history(run.info.run_id, "pixel")
        assert [point.step for point in points] == list(range(1, 1001))
        # A server decides by itself where artifacts go.
        assert run.info.artifact_uri.startswith("mlflow-artifacts:")
        assert len(store.list_artifacts(run.info.run_id, "images")) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_training_outlives_its_server(server, tmp_path):
    """Stops the server: the last test here."""
    address, process = server
    client = train(address, tmp_path, "interrupted")
    assert client.stdout.readline() == "waiting\n"
    stop(process)
    started = time.monotonic()
    _, complaint = client.communicate("\n")
    assert client.returncode == 0
    assert complaint.count("\n") == 1
    assert f"MLflow at {address} cannot be used" in complaint
    assert time.monotonic() - started < 20
    assert list(tmp_path.iterdir()) == [tmp_path / "interrupted"]

from __future__ import annotations

import time

import pytest

from mlflow_support import python, running_server, stop
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


SYNC = "import sys; from degrain.cli import main; sys.exit(main(['sync']))"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder of the server."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(home):
    """A real server: its address and its process."""
    with running_server(home) as started:
        yield started


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


def test_training_outlives_its_server_and_sends_the_rest_later(server, home, tmp_path):
    """Stops the server: the last test here."""
    import mlflow

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
    assert sorted(path.name for path in tmp_path.iterdir()) == [".checkpoints", "interrupted"]

    with running_server(home, port=int(address.rpartition(":")[2])):
        for said in ("pretrain: 2 entries sent", "nothing waits"):
            out, complaint = python(SYNC, tmp_path, MLFLOW_TRACKING_URI=address).communicate()
            assert (said in out, complaint) == (True, "")
        store = mlflow.MlflowClient(address)
        [run] = store.search_runs(
            [store.get_experiment_by_name("degrain").experiment_id],
            "tags.mlflow.runName = 'pretrain'",
            max_results=1,
        )
        points = store.get_metric_history(run.info.run_id, "pixel")
        assert [point.step for point in points] == list(range(1, 1002))
        assert run.info.status == "FINISHED"

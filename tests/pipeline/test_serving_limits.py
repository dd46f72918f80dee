"""Requests that take too long, models that fail, and the server's own death.

With a model that does on demand what one should not, as MLflow logs it, and no network.
"""

from __future__ import annotations

import socket
import time
import warnings
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests

from degrain.codecs.png import encode_png
from degrain.serving.keeper import ATTEMPTS
from mlflow_support import opened_by_two_at_once
from serving_support import running

# By sigma_255: 1 and 2 take long, 3 ends the process, 4 fails; all others give the images back.
MODEL = """
import os, time
import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

class Troublesome(PythonModel):
    def predict(self, context, model_input: np.ndarray, params=None):
        trouble = params["sigma_255"]
        if trouble in (1, 2):
            time.sleep({1: 6, 2: 600}[trouble])
        if trouble == 3:
            os._exit(1)
        if trouble == 4:
            raise RuntimeError("secret")
        return np.asarray(model_input).ravel().tolist()

set_model(Troublesome())
"""
IMAGE = encode_png(np.zeros((4, 4, 1), np.uint8))
PNG = {"Content-Type": "image/png"}
TIMEOUT_S = 4


def save(folder, model):
    """A model as a file that MLflow can load."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    images = Schema([ColSpec(DataType.string)])
    params = ParamSchema([ParamSpec("sigma_255", DataType.double, -1.0)])
    signature = ModelSignature(images, images, params)
    with warnings.catch_warnings(action="ignore"):  # of examples
        mlflow.pyfunc.save_model(
            str(folder), python_model=model, signature=signature, pip_requirements=["mlflow"]
        )
    return str(folder)


def pickled_model():
    from mlflow.pyfunc.model import PythonModel

    class Pickled(PythonModel):
        def predict(self, context, model_input: np.ndarray, params=None):
            return model_input

    return Pickled()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A registry with the model above, and as its second version one that is a pickle."""
    import mlflow

    folder = tmp_path_factory.mktemp("limits")
    (folder / "mlflow.db").write_bytes(opened_by_two_at_once()[0])
    (folder / "model.py").write_text(MODEL, encoding="utf-8")
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    client.create_registered_model("degrain-rgb")
    for name, model in (("good", str(folder / "model.py")), ("pickle", pickled_model())):
        client.create_model_version("degrain-rgb", save(folder / name, model))
    client.set_registered_model_alias("degrain-rgb", "champion", "1")
    return client


@pytest.fixture(scope="module")
def server(client, tmp_path_factory):
    folder = Path(client.tracking_uri.removeprefix("sqlite:///")).parent
    limits = "--timeout", str(TIMEOUT_S), "--concurrent", "1", "--queue", "2", "--reload", "0.2"
    with running(folder, *limits) as server:
        server.wait_until_ready()
        yield server


def denoise(server, trouble=0):
    query = {"sigma_255": trouble}
    return requests.post(f"{server.address}/denoise", data=IMAGE, params=query, headers=PNG, timeout=60)


def test_a_body_that_does_not_come_is_not_waited_for(server):
    host, port = server.address.removeprefix("http://").split(":")
    started = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"POST /denoise HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\nab"
        )
        answer = connection.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started >= TIMEOUT_S


def test_a_slow_request_is_given_up_but_keeps_its_place_until_it_is_done(server):
    starts, started = server.metric("degrain_scorer_starts_total"), time.monotonic()
    answer = denoise(server, 1)
    took = time.monotonic() - started
    assert (answer.status_code, answer.json()["error_code"]) == (504, "DEADLINE_EXCEEDED")
    assert TIMEOUT_S <= took < 6
    assert server.metric("degrain_requests_working") == 1
    assert denoise(server).status_code == 200
    assert time.monotonic() - started >= 6
    assert server.metric("degrain_scorer_starts_total") == starts


def test_a_failure_in_the_model_is_the_servers_fault_and_stays_in_its_log(server):
    answer = denoise(server, 4)
    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert "RuntimeError: secret" in server.log.read_text()


def test_a_scorer_that_is_stuck_is_replaced(server):
    [scorer] = server.scorers()
    starts = server.metric("degrain_scorer_starts_total")
    assert denoise(server, 2).status_code == 504
    server.wait_for_metric("degrain_scorer_starts_total", starts + 1)
    assert denoise(server).status_code == 200
    assert not scorer.is_running()


def test_a_request_that_ends_its_process_does_so_twice_at_most(server):
    starts = server.metric("degrain_scorer_starts_total")
    assert denoise(server, 3).status_code in (500, 504)  # whichever comes first
    server.wait_for_metric("degrain_scorer_starts_total", starts + ATTEMPTS)
    assert denoise(server).status_code == 200
    assert server.metric("degrain_scorer_starts_total") == starts + ATTEMPTS


def test_a_version_that_does_not_load_is_not_served(server, client):
    client.set_registered_model_alias("degrain-rgb", "champion", "2")
    server.wait_for_metric("degrain_scorer_failed_starts_total", 1)
    client.set_registered_model_alias("degrain-rgb", "champion", "1")
    assert denoise(server).headers["X-Degrain-Model"] == "models:/degrain-rgb/1"
    log = server.log.read_text()
    assert "models:/degrain-rgb/2: expected a model that restores image files" in log
    assert "MLFLOW_ALLOW_PICKLE_DESERIALIZATION" in log


def test_nothing_is_left_of_a_server_that_is_killed(server):
    """The last: it ends the server."""
    scorers = server.scorers()
    assert len(scorers) == 1
    server.process.kill()
    server.process.wait()
    _, alive = psutil.wait_procs(scorers, timeout=10)
    assert alive == []


def test_a_model_that_is_not_there_is_said_at_once(client, capfd, tmp_path):
    folder = Path(client.tracking_uri.removeprefix("sqlite:///")).parent
    with running(folder, "--model", "models:/degrain-grey@champion") as server:
        assert server.process.wait(60) == 2
    complaint = server.log.read_text().splitlines()[-1]
    assert complaint.startswith(
        "degrain: models:/degrain-grey@champion: no such model or alias in sqlite:///"
    )

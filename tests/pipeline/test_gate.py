"""The gate after a real `dvc repro`, on a real MLflow server."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from degrain.codecs import decode
from degrain.codecs.png import encode_png
from lifecycle_support import LENIENT
from mlflow_support import running_server
from pipeline_support import copy_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("server")) as (address, _):
        yield address


@pytest.fixture
def project(finished, tmp_path, server):
    """The finished project, whose runs another store has: the server knows nothing of it."""
    copy = copy_project(finished, tmp_path / "project", MLFLOW_TRACKING_URI=server)
    yield copy
    copy.stop()


def client(server):
    import mlflow

    return mlflow.MlflowClient(server)


def test_models_of_the_pipeline_take_turns_on_a_server(project, server):
    assert "would be refused" in project.command("degrain", "promote", "--dry-run", code=3)
    project.change_params({"promote": LENIENT})
    assert "promoted: degrain-rgb version 1" in project.command("degrain", "promote")

    project.change_params({"pretrain": {"steps": 40, "lr": 0.002}})  # a better one
    project.dvc("repro")
    said = project.command("degrain", "promote", "--output", "decision.json")
    assert "promoted: degrain-rgb version 2" in said
    assert client(server).get_model_version_by_alias("degrain-rgb", "champion").version == "2"

    project.change_params({"pretrain": {"steps": 1, "lr": 0.00001}})  # a worse one
    project.dvc("repro")
    assert "FAILED  PSNR gain over the champion" in project.command("degrain", "promote", code=3)
    project.command("degrain", "rollback")
    aliases = client(server).get_registered_model("degrain-rgb").aliases
    assert {alias: str(number) for alias, number in aliases.items()} == {"champion": "1", "previous": "2"}
    assert "degrain-rgb version 1" in project.command("degrain", "card")

    rows = (project / "reports/promotions.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows[1:]] == ["promoted", "promoted", "refused", "rolled back"]
    decision = json.loads((project / "decision.json").read_text())
    assert all({"rule", "figure", "limit", "passed"} <= set(verdict) for verdict in decision["verdicts"])


def test_champion_can_be_loaded_by_its_alias(server, monkeypatch):
    import mlflow
    import numpy as np

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.syspath_prepend("")  # MLflow changes sys.path; this puts it back
    mlflow.set_tracking_uri(server)
    model = mlflow.pyfunc.load_model("models:/degrain-rgb@champion")
    image = encode_png(np.zeros((9, 7, 3), np.uint8))
    [restored] = model.predict([base64.b64encode(image).decode()])
    assert decode(base64.b64decode(restored), Path("restored")).pixels.shape == (9, 7, 3)

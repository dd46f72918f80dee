"""The whole loop on a real MLflow server, by the commands that a user types, on the tiny pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import requests

from ci_support import lend_packages
from degrain.build.dial import load_between
from degrain.codecs import decode
from degrain.compute import start_engine
from degrain.files import sha256_file
from degrain.params import Compute
from degrain.restore import Restorer
from lifecycle_support import LENIENT
from mlflow_support import running_server
from pipeline_support import copy_project, shoot
from serving_support import running

pytestmark = pytest.mark.slow

FAITHFUL, REALISTIC = (Path(f"models/{stage}/generator.safetensors") for stage in ("pretrain", "train"))
PHOTO = Path("images/test/astronaut.png")
SIGMA_255 = 25
CHAMPION = ("--reference", "models:/degrain-rgb@champion")


@pytest.fixture
def server(tmp_path):
    (tmp_path / "server").mkdir()
    with running_server(tmp_path / "server") as (address, _):
        yield address


@pytest.fixture
def project(finished, tmp_path, server):
    """A project after its first training, committed, with rules that a tiny network can meet."""
    copy = copy_project(finished, tmp_path / "project", MLFLOW_TRACKING_URI=server)
    copy.change_params({"promote": LENIENT})
    copy.git("add", ".")
    copy.git("commit", "--quiet", "--message", "trained")
    lend_packages(copy.folder)
    yield copy
    copy.stop()


def restored_by_server(address, photo, dial):
    answer = requests.post(
        f"{address}/denoise",
        data=photo,
        params={"sigma_255": SIGMA_255, "dial": dial},
        headers={"Content-Type": "image/png"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return decode(answer.content, PHOTO).pixels


def test_from_the_first_model_to_a_photograph_restored_by_the_champion(project, server):
    import mlflow

    client = mlflow.MlflowClient(server)

    def champion():
        version = client.get_model_version_by_alias("degrain-rgb", "champion")
        assert client.get_logged_model(version.source.removeprefix("models:/")).name == "service"
        return version.tags["model.sha256"]

    # Trained. Registered; the champion by the floor alone.
    first = sha256_file(project / REALISTIC)
    assert "degrain-rgb version 1: registered" in project.command("degrain", "register")
    assert "passed  PSNR, no champion yet" in project.command("degrain", "promote")
    assert champion() == first

    # A noisier camera. Found, trained anew with better params, proposed with a report; promoted.
    shoot(project / "incoming", 90, 16)
    project.variables["PARAMS"] = "pretrain.steps=40 pretrain.lr=0.002"
    assert "  noise level: " in project.command("bash", ".ci/drift", "incoming", *CHAMPION)
    report = (project / "build/retrain/report.md").read_text(encoding="utf-8")
    for text in ("promoted", f"champion `{first[:12]}`", "| `pretrain.steps` | `6` | `40` |"):
        assert text in report
    assert report.count(f"{server}/#/experiments/") == 3  # pretrain, train, evaluate
    assert champion() == first
    assert "promoted: degrain-rgb version 2" in project.command("degrain", "promote")
    second = sha256_file(project / REALISTIC)
    assert champion() == second != first

    # The first params again. Worse, so refused; but somebody wants that one back all the same.
    project.git("checkout", "--quiet", "params.yaml")
    project.dvc("repro")
    assert "FAILED  PSNR gain over the champion" in project.command("degrain", "promote", code=3)
    assert champion() == second
    project.command("degrain", "rollback")
    assert champion() == first
    assert first in project.command("degrain", "card")

    # The champion serves, at both ends of its dial.
    engine = start_engine(Compute(device="cpu", precision="float32", threads=1))
    photo = (project / PHOTO).read_bytes()
    with running(project.folder, "--concurrent", "1", MLFLOW_TRACKING_URI=server) as served:
        served.wait_until_ready("models:/degrain-rgb/1")
        for dial in (0.0, 1.0):
            restore = Restorer(*load_between(project / FAITHFUL, project / REALISTIC, dial), engine)
            given = decode(photo, PHOTO).pixels
            expected = restore.restore_stored(given, SIGMA_255 / 255)
            found = restored_by_server(served.address, photo, dial)
            np.testing.assert_allclose(found.astype(int), expected, atol=2)
            assert not np.array_equal(found, given)
        assert served.end() == 0
    rows = (project / "reports/promotions.csv").read_text().splitlines()[1:]
    assert [row.split(",")[1] for row in rows] == ["promoted", "promoted", "refused", "rolled back"]

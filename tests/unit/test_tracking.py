from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from degrain.files import sha256_file, write_image
from degrain.tracking import evaluation_run, session, training_run
from degrain.tracking.describe import flatten, is_gone, this_process
from degrain.tracking.store import project_root, take_login, tracking_uri
from degrain.tracking.view import NOTE, SAVED_VIEW, VIEW
from mlflow_support import enter_project, opened_by_two_at_once, python
from support import ROOT

DATA = [Path("data.csv")]
FOLDER = Path(".checkpoints/pretrain/key")


@pytest.fixture
def project(tmp_path, monkeypatch, caplog):
    enter_project(tmp_path, monkeypatch)
    yield tmp_path
    assert caplog.messages == []


@pytest.fixture
def unheard(tmp_path, monkeypatch):
    """A project in which tracking may complain."""
    enter_project(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def params(make_params):
    return make_params()


def client():
    import mlflow

    return mlflow.MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")


def runs():
    experiment = client().get_experiment_by_name("degrain")
    return client().search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])


def steps(run, metric):
    return [point.step for point in client().get_metric_history(run.info.run_id, metric)]


def remembered():
    return json.loads((FOLDER / "mlflow_run.json").read_text())["run_id"]


# Where the store is


def test_root_of_a_temporary_experiment_is_the_project():
    project = Path("/home/me/project")
    assert project_root(project) == project
    assert project_root(project / ".dvc/tmp/exps/tmp2b0296un") == project
    assert project_root(project / ".dvc/tmp/exps/standalone/tmpj_kr32j8") == project


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "sqlite:////project/mlflow.db"),
        ("", "sqlite:////project/mlflow.db"),
        ("sqlite:///runs/my.db", "sqlite:////project/runs/my.db"),
        ("sqlite:////elsewhere/my.db", "sqlite:////elsewhere/my.db"),
        ("http://server:5000", "http://server:5000"),
        ("postgresql://me@server/runs", "postgresql://me@server/runs"),
    ],
)
def test_address_is_absolute(monkeypatch, given, expected):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if given is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    assert tracking_uri(Path("/project")) == expected


def test_password_in_an_address_stays_out_of_the_address_that_mlflow_prints(monkeypatch):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    assert take_login("https://me:a%40b@example.org:5000/x") == "https://example.org:5000/x"
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "me"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "a@b"
    for other in ("https://example.org", "sqlite:////home/me@work/mlflow.db", "postgresql://me:a@db/x"):
        assert take_login(other) == other
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "me"


def test_two_processes_may_create_one_store_at_once():
    _, experiments, complaints = opened_by_two_at_once()
    assert complaints == ["", ""]
    assert experiments[0] == experiments[1] != ""


def test_import_takes_neither_mlflow_nor_torch(tmp_path):
    code = "import sys, degrain.tracking; print({'mlflow', 'torch', 'pandas'} & set(sys.modules))"
    out, complaint = python(code, tmp_path).communicate()
    assert (out.strip(), complaint) == ("set()", "")


# What a run holds


def test_run_of_a_training_tells_its_story(project, params, monkeypatch):
    subprocess.run(["git", "init", "-q"], check=True)
    identity = ["-c", "user.name=me", "-c", "user.email=me@localhost"]
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "start"], check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    monkeypatch.setenv("DVC_EXP_NAME", "fiery-ossa")
    image = np.linspace(-0.1, 1.1, 12 * 8 * 3, dtype=np.float32).reshape(12, 8, 3)
    write_image(Path("expected.png"), image)

    with training_run("pretrain", params, FOLDER, data=DATA) as run:
        run.log_metrics(1, {"pixel": 0.5, "lr": 0.001})
        run.log_picture("Höhle (1)/left", 200, image)
        run.log_table("results", pd.DataFrame({"name": ["astronaut"], "psnr": [30.5]}))
        run.log_artifact(Path("data.csv"), "tables")

    [stored] = runs()
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == "pretrain (fiery-ossa)"
    tags = stored.data.tags
    assert (tags["dvc.stage"], tags["dvc.exp"]) == ("pretrain", "fiery-ossa")
    assert (tags["git.commit"], tags["git.dirty"]) == (commit, "false")
    assert tags["data.sha256"] == sha256_file(Path("data.csv"))
    assert stored.data.params["pretrain.steps"] == "6"
    assert stored.data.params["noise.kind"] == "gaussian"
    assert stored.data.params["noise.gaussian.test"] == "[15.0, 25.0, 50.0]"
    assert stored.data.metrics == {"pixel": 0.5, "lr": 0.001}
    [data] = stored.inputs.dataset_inputs
    assert (data.dataset.name, data.tags[0].value) == ("data.csv", "training")
    assert sha256_file(Path("data.csv")).startswith(data.dataset.digest)
    columns = [{"name": "name", "type": "string", "required": True}]
    assert json.loads(data.dataset.schema) == {"mlflow_colspec": columns}
    assert json.loads(data.dataset.profile) == {"num_rows": 1}
    assert_artifacts(stored, project)


def test_pages_say_what_they_show(project, params):
    with training_run("train", params, FOLDER, data=DATA):
        pass
    with evaluation_run(params, Path("data.csv"), data=DATA):
        pass
    notes = [run.data.tags[NOTE] for run in runs()]
    assert notes == [
        "6 steps of unet against unet, non-saturating; noise: gaussian; embedded",
        "both generators and the filters on embedded; noise: gaussian",
    ]
    tags = client().get_experiment_by_name("degrain").tags
    assert "below the training" in tags[NOTE]
    state = json.loads(json.loads(tags[VIEW])["state"])
    assert set(state["columnWidths"]) == set(state["selectedColumns"]) < set(state["columnOrder"])
    assert f"viewStateShareKey={VIEW.rpartition('.')[2]}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_description_of_somebody_stays_and_the_columns_are_ours(project, params):
    experiment = client().get_experiment_by_name("degrain") or client().get_experiment(
        client().create_experiment("degrain")
    )
    for tag in (NOTE, VIEW):
        client().set_experiment_tag(experiment.experiment_id, tag, "mine")
    with training_run("train", params, FOLDER, data=DATA):
        pass
    tags = client().get_experiment_by_name("degrain").tags
    assert (tags[NOTE], tags[VIEW]) == ("mine", SAVED_VIEW)


def assert_artifacts(stored, project):
    from PIL import Image

    folder = Path(stored.info.artifact_uri)
    assert folder.is_relative_to(project / "mlartifacts")
    assert (folder / "tables/data.csv").read_text() == "name\nastronaut\n"
    assert json.loads((folder / "results.json").read_text())["data"] == [["astronaut", 30.5]]
    [picture] = (folder / "images").glob("*+step+200+*.png")
    assert np.array_equal(np.asarray(Image.open(picture)), np.asarray(Image.open("expected.png")))


def test_experiment_in_a_temporary_checkout_logs_to_the_project(project, params, monkeypatch):
    checkout = project / ".dvc/tmp/exps/tmp1"
    checkout.mkdir(parents=True)
    monkeypatch.chdir(checkout)
    Path("data.csv").touch()
    with training_run("pretrain", params, FOLDER, data=DATA) as run:
        run.log_artifact(Path("data.csv"))
    assert list(checkout.rglob("mlflow.db*")) == []
    monkeypatch.chdir(project)
    [stored] = runs()
    assert (Path(stored.info.artifact_uri) / "data.csv").is_relative_to(project / "mlartifacts")
    assert (Path(stored.info.artifact_uri) / "data.csv").exists()


def test_params_are_those_that_can_have_mattered(params):
    sections = {name.partition(".")[0] for name in flatten(params, "pretrain")}
    assert {"seed", "data", "noise", "model", "pretrain"} <= sections
    assert not {"train", "evaluate"} & sections
    assert {"pretrain.lr", "train.lr"} <= set(flatten(params, "train"))
    assert {"pretrain.lr", "train.lr", "evaluate.zoom_px"} <= set(flatten(params, "evaluate"))


def test_metrics_travel_together(project, params, monkeypatch):
    import mlflow

    calls = []
    send = mlflow.MlflowClient.log_batch
    monkeypatch.setattr(
        mlflow.MlflowClient,
        "log_batch",
        lambda *a, **k: (calls.append(len(k.get("metrics", ()))), send(*a, **k)),
    )
    with training_run("pretrain", params, FOLDER, data=DATA) as run:
        for step in range(1, 1001):
            run.log_metrics(step, {"pixel": 1 / step, "lr": 0.001})
    assert sum(calls) == 2000
    assert len([count for count in calls if count]) <= 4
    assert steps(runs()[0], "pixel") == list(range(1, 1001))


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_run_ends_as_its_stage_does(project, params, error, status):
    with pytest.raises(error), training_run("pretrain", params, FOLDER, data=DATA) as run:  # noqa: PT012
        run.log_metrics(1, {"pixel": 0.5})
        raise error
    [stored] = runs()
    assert (stored.info.status, stored.data.metrics) == (status, {"pixel": 0.5})


def test_machine_is_watched(project, params, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    with training_run("pretrain", params, FOLDER, data=DATA):
        time.sleep(0.5)
    watched = runs()[0].data.metrics
    assert 0 <= watched["system/cpu_utilization_percentage"] <= 100
    assert watched["system/system_memory_usage_megabytes"] > 0


def test_picture_of_a_broken_network_stops_nothing(project, params):
    with training_run("pretrain", params, FOLDER, data=DATA) as run:
        run.log_picture("astronaut", 1, np.full((4, 4, 1), np.nan, np.float32))
        run.log_metrics(1, {"pixel": float("nan")})
    [stored] = runs()
    assert len(list(Path(stored.info.artifact_uri, "images").glob("*.png"))) == 1


# After a kill

TRAIN_AND_DIE = f"""
import os, signal
from pathlib import Path
import numpy as np
from degrain.params import load_params
from degrain.tracking import training_run
params, data = load_params(Path({str(ROOT / "params.yaml")!r})), [Path("data.csv")]
with (
    training_run("pretrain", params, Path({str(FOLDER)!r}), data=data) as first,
    training_run("train", params, Path(".checkpoints/train/other"), data=data),
):
    for step in range(1, 901):
        first.log_metrics(step, {{"pixel": 1 / step}})
    first.log_picture("astronaut", 800, np.zeros((4, 4, 3), np.float32))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_training_goes_on_in_its_run_and_others_are_closed(project, params):
    killed = python(TRAIN_AND_DIE, project)
    assert killed.communicate() == ("", "")
    assert killed.returncode == -signal.SIGKILL
    assert [run.info.status for run in runs()] == ["RUNNING", "RUNNING"]

    with training_run("pretrain", params, FOLDER, data=DATA) as run:
        for step in range(701, 1001):
            run.log_metrics(step, {"pixel": 1 / step})
        for step in (800, 1000):
            run.log_picture("astronaut", step, np.zeros((4, 4, 3), np.float32))
        assert [stored.info.status for stored in runs()] == ["RUNNING", "KILLED"]

    continued, other = runs()
    assert (continued.info.status, other.info.status) == ("FINISHED", "KILLED")
    assert continued.info.run_id == remembered()
    assert steps(continued, "pixel") == list(range(1, 1001))
    pictures = sorted(path.name for path in Path(continued.info.artifact_uri, "images").glob("*.png"))
    assert [name.split("+")[:3] for name in pictures] == [
        ["astronaut", "step", "1000"],
        ["astronaut", "step", "800"],
    ]


@pytest.mark.parametrize("memory", ['{"run_id": "0123456789abcdef0123456789abcdef"}', "{}", "torn"])
def test_run_that_the_store_does_not_know_is_replaced(project, params, memory):
    FOLDER.mkdir(parents=True)
    (FOLDER / "mlflow_run.json").write_text(memory)
    with training_run("pretrain", params, FOLDER, data=DATA):
        pass
    [fresh] = runs()
    assert (fresh.info.status, fresh.info.run_id) == ("FINISHED", remembered())


def test_deleted_run_is_replaced(project, params):
    with training_run("pretrain", params, FOLDER, data=DATA):
        pass
    deleted = remembered()
    client().delete_run(deleted)
    with training_run("pretrain", params, FOLDER, data=DATA):
        pass
    assert [run.info.run_id for run in runs()] == [remembered()] != [deleted]


def test_process_is_known_to_be_gone():
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    machine, _, _ = this_process().rsplit(":", 2)
    import psutil

    name = f"{machine}:{ended.pid}:{psutil.Process(ended.pid).create_time():.2f}"
    assert not is_gone(name)
    ended.communicate(b"\n")
    assert is_gone(name)
    assert is_gone(f"{machine}:{os.getpid()}:12.00")  # the number has been given again
    assert not is_gone("elsewhere:1:12.00")  # nobody here can know


# Evaluation


def test_evaluation_is_a_child_of_the_training_that_made_the_model(project, params):
    pretrained, model = Path("pretrained.safetensors"), Path("model.safetensors")
    pretrained.write_bytes(b"pretrained")
    model.write_bytes(b"adversarial")
    for stage, weights in (("pretrain", pretrained), ("train", model)):
        with training_run(stage, params, Path(stage), data=DATA) as run:
            run.set_tags({"model.sha256": sha256_file(weights)})
    for _ in range(2):
        with evaluation_run(params, model, pretrained=pretrained, data=DATA) as run:
            run.log_metrics(0, {"adversarial/sigma_25/psnr": 30.0})
    _, training, *children = runs()
    for child in children:
        tags = child.data.tags
        assert tags["mlflow.parentRunId"] == training.info.run_id
        assert (tags["model.sha256"], tags["pretrained.sha256"]) == (
            sha256_file(model),
            sha256_file(pretrained),
        )
        assert child.data.metrics == {"adversarial/sigma_25/psnr": 30.0}
        assert child.inputs.dataset_inputs[0].tags[0].value == "testing"
    assert len(children) == 2


def test_evaluation_of_a_model_from_elsewhere_stands_alone(project, params):
    Path("model.safetensors").write_bytes(b"from a cache")
    with evaluation_run(params, Path("model.safetensors"), data=DATA):
        pass
    [stored] = runs()
    assert stored.info.status == "FINISHED"
    assert "mlflow.parentRunId" not in stored.data.tags


# When MLflow fails


@pytest.mark.parametrize("server", ["down", "silent"])
def test_training_goes_on_without_a_server(unheard, params, server, monkeypatch, caplog):
    monkeypatch.setattr("degrain.tracking.store.PROBE_TIMEOUT_S", 0.2)
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listening:
        port = listening.getsockname()[1]
        if server == "down":
            listening.close()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}")
        with training_run("pretrain", params, FOLDER, data=DATA) as run:
            for step in range(2000):
                run.log_metrics(step, {"pixel": 1.0})
            run.log_picture("astronaut", 0, np.zeros((4, 4, 3), np.float32))
            run.log_generator(Path("data.csv"))
    reason = {"down": "[Errno 111] Connection refused", "silent": "timed out"}[server]
    [message] = caplog.messages
    assert f"http://127.0.0.1:{port} cannot be used: no answer ({reason})." in message
    assert time.monotonic() - started < 5


def test_what_waited_for_a_store_is_sent_when_it_is_back(unheard, params, monkeypatch, caplog):
    away = [True]

    def answer(_uri):
        if away[0]:
            raise ConnectionError("no answer")  # noqa: EM101

    monkeypatch.setattr(session, "require_answer", answer)
    monkeypatch.setattr(session, "RETRY_AFTER_S", 0.0)
    with training_run("pretrain", params, FOLDER, data=DATA) as run:
        for step in range(1, 1901):
            run.log_metrics(step, {"pixel": 1 / step})
            away[0] = step < 1000 or 1500 < step < 1850
    assert len(caplog.messages) == 1
    [stored] = runs()
    assert stored.info.status == "FINISHED"
    assert steps(stored, "pixel") == list(range(1, 1901))
    assert stored.data.params["pretrain.steps"] == "6"


def test_an_entry_that_is_refused_costs_only_itself(unheard, params, caplog):
    with training_run("pretrain", params, FOLDER, data=DATA) as run:
        run.set_tags({"": "a tag without a name"})
        run.log_artifact(Path("not there"))
        run.log_metrics(1, {"pixel": 0.5})
    [stored] = runs()
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"pixel": 0.5})
    assert len(caplog.messages) == 2
    assert all("did not take" in message for message in caplog.messages)


def test_an_entry_that_always_fails_costs_only_itself(unheard, params, monkeypatch, caplog):
    import mlflow

    def fail(*_args):
        raise mlflow.MlflowException("no room")  # noqa: EM101

    monkeypatch.setattr(mlflow.MlflowClient, "log_artifact", fail)
    with training_run("pretrain", params, FOLDER, data=DATA) as run:
        run.log_artifact(Path("data.csv"))
        run.log_metrics(1, {"pixel": 0.5})
    [stored] = runs()
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"pixel": 0.5})
    assert ["no room" in message for message in caplog.messages] == [True, True]


def test_unusable_address_stops_nothing(unheard, params, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mlruns")
    with caplog.at_level(logging.WARNING), training_run("pretrain", params, FOLDER, data=DATA) as run:
        run.log_metrics(1, {"pixel": 0.5})
    assert len(caplog.messages) == 1

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from degrain import cli
from degrain.build.generator import build_generator, save_generator
from degrain.files import read_image, sha256_file
from degrain.tracking import evaluation_run, session, training_run
from degrain.tracking.entries import (
    File,
    Generator,
    Picture,
    Point,
    Points,
    Table,
    Tags,
    read_entry,
    write_entry,
)
from degrain.tracking.unsent import FOLDER, unsent_folders
from mlflow_support import enter_project

CHECKPOINT = Path(".checkpoints/train/key")
WEIGHTS = Path("generator.safetensors")


@pytest.fixture
def params(tmp_path, monkeypatch, make_params):
    enter_project(tmp_path, monkeypatch)
    params = make_params()
    save_generator(WEIGHTS, build_generator(params.model, 3), params.model, 3)
    return params


@pytest.fixture
def away(monkeypatch):
    """Whether the store is away."""
    state = {"away": True}

    def answer(_uri):
        if state["away"]:
            raise ConnectionError("no answer")  # noqa: EM101

    monkeypatch.setattr(session, "require_answer", answer)
    return state


def client():
    import mlflow

    return mlflow.MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")


def runs():
    experiment = client().get_experiment_by_name("degrain")
    if experiment is None:
        return []
    return client().search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])


def points(run, metric="pixel"):
    return [(point.step, point.value) for point in client().get_metric_history(run.info.run_id, metric)]


def train(params):
    with training_run("train", params, CHECKPOINT, data=[Path("data.csv")]) as run:
        log_all(run)


def log_all(run):
    run.log_metrics(1, {"pixel": 0.1 + 0.2, "lr": 1e-3})
    run.log_metrics(2, {"pixel": math.nan})
    run.log_picture("astronaut", 1, np.full((4, 5, 3), 0.2, np.float32))
    run.log_artifact(Path("data.csv"), "tables")
    run.log_generator(WEIGHTS)


def assert_all_there(stored):
    folder = Path(stored.info.artifact_uri)
    assert stored.info.status == "FINISHED"
    assert stored.data.params["train.steps"] == "6"
    assert points(stored)[0] == (1, 0.1 + 0.2)
    assert [step for step, _ in points(stored)] == [1, 2]
    assert (folder / "tables/data.csv").read_text() == "name\nastronaut\n"
    [picture] = (folder / "images").glob("astronaut+step+1+*.png")
    assert read_image(picture).shape == (4, 5, 3)
    models = client().search_logged_models([stored.info.experiment_id])
    assert {model.name for model in models} == {"generator", "service"}
    assert {model.source_run_id for model in models} == {stored.info.run_id}
    assert len(stored.inputs.dataset_inputs) == 1


def test_run_without_a_store_is_sent_later_as_it_was(params, away, capsys):
    train(params)
    assert runs() == []
    [folder] = unsent_folders(Path())
    started = json.loads((folder / "run.json").read_text())["started_ms"]
    Path("data.csv").write_text("changed since")
    WEIGHTS.unlink()

    assert cli.main(["sync"]) == 0
    [stored] = runs()
    assert f"train: 8 entries sent, run {stored.info.run_id}" in capsys.readouterr().out
    assert_all_there(stored)
    assert started == stored.info.start_time <= stored.info.end_time
    assert unsent_folders(Path()) == []
    assert cli.main(["sync"]) == 0
    assert "nothing waits" in capsys.readouterr().out
    assert len(runs()) == 1


class Interruption(BaseException):
    """As if the process were killed."""


class Interrupted(list):
    """Entries after so many of which the process is killed."""

    def __init__(self, entries, after):
        super().__init__(entries)
        self.after = after

    def __iter__(self):
        yield from self[: self.after]
        raise Interruption


def test_sync_may_be_interrupted_anywhere(params, away, monkeypatch):
    """Each time one entry later, so that every entry is sent again after every other."""
    from degrain.tracking import sync

    train(params)
    entries = sync.read_entries
    for after in range(8):
        with monkeypatch.context() as patch:
            patch.setattr(
                sync, "read_entries", lambda folder, after=after: Interrupted(entries(folder), after)
            )
            with pytest.raises(Interruption):
                cli.main(["sync"])
    assert cli.main(["sync"]) == 0
    [stored] = runs()
    assert_all_there(stored)


def test_run_that_lost_its_store_halfway_is_completed(params, away):
    away["away"] = False
    with training_run("train", params, CHECKPOINT, data=[Path("data.csv")]) as run:
        run.log_metrics(1, {"pixel": 1.0})
        run.flush()
        away["away"] = True
        for step in (2, 3):
            run.log_metrics(step, {"pixel": 1 / step})
    [stored] = runs()
    assert (stored.info.status, len(points(stored))) == ("RUNNING", 1)
    cli.main(["sync"])
    [stored] = runs()
    assert (stored.info.status, [step for step, _ in points(stored)]) == ("FINISHED", [1, 2, 3])


@pytest.mark.parametrize("call", ["create_run", "log_batch", "log_artifact", "set_terminated"])
@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED"])
def test_what_a_store_takes_from_nobody_without_a_login_is_kept(params, monkeypatch, call, code):
    import mlflow
    from mlflow.protos import databricks_pb2

    def refuse(*_args, **_kwargs):
        raise mlflow.MlflowException("who are you?", error_code=getattr(databricks_pb2, code))  # noqa: EM101

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, call, refuse)
        train(params)
    assert len(unsent_folders(Path())) == 1
    assert cli.main(["sync"]) == 0
    [stored] = runs()
    assert_all_there(stored)


def test_part_of_a_run_that_went_on_fills_its_gap(params, away):
    """The training was interrupted while the store was away, and resumed when it was back."""
    away["away"] = False
    with pytest.raises(KeyboardInterrupt), training_run("train", params, CHECKPOINT, data=[]) as run:  # noqa: PT012
        run.log_metrics(1, {"pixel": 1.0})
        run.flush()
        away["away"] = True
        run.log_metrics(2, {"pixel": 0.5})
        raise KeyboardInterrupt
    away["away"] = False
    with training_run("train", params, CHECKPOINT, data=[]) as run:
        run.log_metrics(3, {"pixel": 0.3})
    cli.main(["sync"])
    [stored] = runs()
    assert (stored.info.status, sorted(step for step, _ in points(stored))) == ("FINISHED", [1, 2, 3])


def test_description_that_was_half_sent_is_completed(params, away, monkeypatch):
    import mlflow

    from degrain.tracking import describe

    train(params)
    send, batches = mlflow.MlflowClient.log_batch, []

    def interrupt(*args, **kwargs):
        batches.append(kwargs["params"])
        if len(batches) == 2:
            raise Interruption
        send(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(describe, "PARAMS_AT_ONCE", 10)
        patch.setattr(mlflow.MlflowClient, "log_batch", interrupt)
        with pytest.raises(Interruption):
            cli.main(["sync"])
    assert len(runs()[0].data.params) == 10
    assert cli.main(["sync"]) == 0
    assert_all_there(runs()[0])


def test_evaluation_is_sent_below_its_training(params, away):
    frame = pd.DataFrame({"name": ["NA", "b"], "psnr": [0.25, 30.0], "pixels": [4, 5]})
    train(params)
    with evaluation_run(params, WEIGHTS, data=[]) as run:
        run.log_metrics(0, {"psnr/sigma_25/adversarial": 30.0})
        run.log_table("results", frame)
    cli.main(["sync"])
    training, evaluation = runs()
    assert evaluation.data.tags["mlflow.parentRunId"] == training.info.run_id
    table = json.loads((Path(evaluation.info.artifact_uri) / "results.json").read_text())
    assert table["columns"] == list(frame.columns)
    assert table["data"] == frame.to_numpy().tolist()


def test_what_belongs_to_another_store_waits(params, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    train(params)
    assert cli.main(["sync"]) == 2
    assert "MLflow at http://127.0.0.1:9: no answer" in capsys.readouterr().err
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert cli.main(["sync"]) == 1
    assert "train: waits for the store at http://127.0.0.1:9" in capsys.readouterr().out
    [folder] = unsent_folders(Path())
    assert all(b"secret" not in path.read_bytes() for path in folder.rglob("*.json"))


def test_what_is_kept_holds_no_pickle(params, away):
    train(params)
    kept = {path.suffix for path in FOLDER.rglob("*") if path.is_file()}
    assert kept <= {".json", ".png", ".csv", ".html", ".safetensors", ".py", ".typed", ""}


@pytest.mark.parametrize(
    "entry",
    [
        Points([Point("psnr", -math.inf, 7, 1), Point("lr", 1e-17, 8, 2)]),
        Tags({"model.sha256": "ä"}),
        File(Path("data.csv"), None),
        Picture("a b", 3, np.arange(12, dtype=np.uint8).reshape(2, 2, 3)),
        Picture("grey", 3, np.arange(4, dtype=np.uint8).reshape(2, 2, 1)),
        Table("results", pd.DataFrame({"name": ["NA", "é"], "psnr": [1 / 3, 30.0], "n": [1, 2]})),
        Generator("service", WEIGHTS, WEIGHTS),
    ],
)
def test_disk_gives_back_what_it_was_given(params, entry):
    write_entry(entry, Path("kept/0"))
    back = read_entry(Path("kept/0"))
    assert type(back) is type(entry)
    if isinstance(entry, Table):
        pd.testing.assert_frame_equal(back.frame, entry.frame, check_exact=True)
    elif isinstance(entry, Picture):
        assert (back.key, back.step) == (entry.key, entry.step)
        assert np.array_equal(back.pixels, entry.pixels)
    elif isinstance(entry, File):
        assert sha256_file(back.path) == sha256_file(entry.path)
    elif isinstance(entry, Generator):
        assert sha256_file(back.weights) == sha256_file(entry.weights)
        assert (back.package / "mlflow_model.py").read_bytes() == (
            entry.package / "mlflow_model.py"
        ).read_bytes()
    else:
        assert back == entry

"""Pipelines below experiments/ are told to the project's own MLflow; a killed stage goes on in its run."""

from __future__ import annotations

from pathlib import Path

import pytest

from degrain.tracking import Told, experiment_run
from degrain.tracking.view import NOTE, VIEW
from mlflow_support import enter_project


@pytest.fixture
def project(tmp_path, monkeypatch, caplog):
    enter_project(tmp_path, monkeypatch)
    (tmp_path / ".dvc").mkdir()
    here = tmp_path / "experiments/some"
    (here / "data").mkdir(parents=True)
    (here / "data/one.csv").write_text("name\nastronaut\n")
    (here / "model").write_text("weights")
    monkeypatch.chdir(here)
    yield tmp_path
    assert caplog.messages == []


def told(stage="dcgan"):
    params = {"seed": 0, "dcgan": {"lr": 0.1}}
    return Told("images", "**What it is.**", stage, "8 steps", params, [Path("data/one.csv")])


def stored(project):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("images")
    return experiment, client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])


def test_run_lies_in_the_store_of_the_project(project):
    with experiment_run(told(), Path(".checkpoints/dcgan/key")) as run:
        run.log_metrics(1, {"critic": 0.5})
        run.log_artifact(Path("model"))
    experiment, [run] = stored(project)
    assert not Path("mlflow.db").exists()
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "0", "dcgan.lr": "0.1"}
    assert run.data.tags["dvc.stage"] == run.info.run_name == "dcgan"
    assert run.data.tags[NOTE] == "8 steps"
    assert run.data.metrics == {"critic": 0.5}
    assert (Path(run.info.artifact_uri) / "model").read_text() == "weights"
    assert Path(run.info.artifact_uri).is_relative_to(project / "mlartifacts")
    assert experiment.tags[NOTE] == "**What it is.**"
    assert VIEW not in experiment.tags  # of the denoiser's metrics


def test_killed_training_goes_on_in_its_run(project):
    folder = Path(".checkpoints/dcgan/key")
    with pytest.raises(KeyboardInterrupt), experiment_run(told(), folder) as run:  # noqa: PT012
        run.log_metrics(1, {"critic": 0.5})
        raise KeyboardInterrupt
    with experiment_run(told(), folder) as run:
        run.log_metrics(1, {"critic": 0.5})
        run.log_metrics(2, {"critic": 0.4})
    _, [run] = stored(project)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"critic": 0.4}


def test_evaluation_is_a_child_of_the_run_that_trained_the_model(project):
    from degrain.files import sha256_file

    model = Path("model")
    with experiment_run(told(), Path("folder")) as run:
        run.set_tags({"model.sha256": sha256_file(model)})
    for _ in range(2):
        with experiment_run(told("evaluate"), model=model):
            pass
    _, (training, *evaluations) = stored(project)
    assert [run.data.tags["mlflow.parentRunId"] for run in evaluations] == [training.info.run_id] * 2

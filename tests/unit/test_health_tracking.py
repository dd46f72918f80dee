"""What MLflow is told of a training's health."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from degrain.build.generator import build_generator
from degrain.tracking import training_run
from degrain.training.checkpoint import Checkpoint
from degrain.training.descend import Diverged
from degrain.training.loop import fit
from degrain.training.rescue import health_guard
from mlflow_support import enter_project
from training_support import adversarial_training, small_dataset

CHANGES = {"lr": 1.0, "steps": 6, "validate_every": 3, "health": {"window": 3, "rescue_rate": 1e-3}}


@pytest.mark.parametrize("rescues", [1, 0])
def test_health_and_rescues_are_in_mlflow(make_params, photo, tmp_path, monkeypatch, rescues):
    enter_project(tmp_path, monkeypatch)
    params = make_params({"train": CHANGES | {"health": CHANGES["health"] | {"rescues": rescues}}})
    data = small_dataset(params, params.train, photo, Path("patches"))
    generator = build_generator(params.model, 3)
    state, plan = adversarial_training(
        params, data, generator=generator, validate=lambda _: {"val_psnr": 30.0}
    )
    checkpoint = Checkpoint("train", "key")

    def train():
        with training_run("train", params, checkpoint.folder, data=[]) as log:
            guarded = replace(plan, guard=health_guard(params, checkpoint, log))
            fit(state, guarded, checkpoint=checkpoint, log=log, name="train")

    if rescues:
        train()
    else:
        with pytest.raises(Diverged, match="train: diverged after 0 rescues"):
            train()
    client = mlflow.MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    [stored] = client.search_runs([client.get_experiment_by_name("degrain").experiment_id])
    tags = stored.data.tags
    assert stored.info.status == ("FINISHED" if rescues else "FAILED")
    assert tags["state"] == ("healthy" if rescues else "diverged")
    assert ("update_ratio" in tags["health.diagnosis"]) == (not rescues)
    assert tags.get("health.rescues", "0") == str(rescues)

    def steps(metric):
        return [point.step for point in client.get_metric_history(stored.info.run_id, metric)]

    logged = list(range(1, 1 + (9 if rescues else 3)))
    for name in (
        "real_accuracy",
        "fake_accuracy",
        "logit_gap",
        "generator_gradient_norm",
        "update_ratio",
        "detail",
    ):
        assert steps(name) == logged, name
    assert steps("rescues") == [0, 3][: 1 + rescues]

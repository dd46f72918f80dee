"""Experiments of DVC, its caches, and what MLflow is told of them."""

from __future__ import annotations

import json
import shutil

import pytest

from pipeline_support import Project, stages_run, stored_runs


def test_first_run_is_one_story_in_mlflow(finished: Project) -> None:
    ((pretrain,), (train,), (evaluate,)) = (
        stored_runs(finished, stage) for stage in ("pretrain", "train", "evaluate")
    )
    assert [run.status for run in (pretrain, train, evaluate)] == ["FINISHED"] * 3
    assert train.tags["pretrained.sha256"] == pretrain.tags["model.sha256"]
    assert evaluate.tags["model.sha256"] == train.tags["model.sha256"]
    assert evaluate.tags["mlflow.parentRunId"] == train.run_id
    assert (finished / "mlartifacts").is_dir()


def test_deleted_models_come_back_from_the_cache(project: Project) -> None:
    before = project.hashes("models", "reports", "dvc.lock")
    shutil.rmtree(project / "models")
    shutil.rmtree(project / "reports/curves")
    assert stages_run(project.dvc("repro")) == ["sources"]
    assert project.hashes("models", "reports", "dvc.lock") == before


def test_evaluation_alone_is_a_child_of_the_training_that_made_the_model(tracked_project: Project) -> None:
    before = tracked_project.hashes("reports", "dvc.lock")
    output = tracked_project.dvc("repro", "--single-item", "--force", "evaluate")
    assert stages_run(output) == ["evaluate"]
    assert tracked_project.hashes("reports", "dvc.lock") == before

    (train,) = stored_runs(tracked_project, "train")
    evaluations = stored_runs(tracked_project, "evaluate")
    assert [run.tags["mlflow.parentRunId"] for run in evaluations] == [train.run_id] * 2
    assert [run.status for run in evaluations] == ["FINISHED"] * 2


def test_experiment_with_another_noise(project: Project) -> None:
    output = project.dvc("exp", "run", "-S", "train.steps=3", "-S", "noise.kind=poisson-gaussian")
    assert stages_run(output) == ["sources", "synthesize", "pretrain", "train", "evaluate"]
    metrics = json.loads((project / "reports/metrics.json").read_text(encoding="utf-8"))
    assert metrics["methods"]["adversarial"].keys() == {"gain_0.01"}


def test_experiment_with_other_adversarial_choices_repeats_no_pretraining(
    project: Project,
) -> None:
    choices = (
        "train.adversarial.loss=wasserstein",
        "train.discriminator.kind=dcgan",
        "train.stabilisers.r1.weight=0.1",
        "train.stabilisers.augmentation.enabled=true",
        "train.ms_ssim.weight=0.1",
    )
    output = project.dvc("exp", "run", *(part for choice in choices for part in ("-S", choice)))
    assert stages_run(output) == ["sources", "train", "evaluate"]
    columns = (project / "reports/curves/train.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert {"gradient_penalty", "r1", "augmentation", "ms_ssim"} <= set(columns)


def test_experiment_with_sampling_repeats_no_pretraining(project: Project) -> None:
    choices = ("model.stochastic=true", "train.sampling.least_diversity=0", "train.lr=0.01")
    output = project.dvc("exp", "run", *(part for choice in choices for part in ("-S", choice)))
    assert stages_run(output) == ["sources", "train", "evaluate"]
    curve = (project / "reports/curves/train.csv").read_text(encoding="utf-8")
    assert {"pixel", "adversarial", "val_sample_psnr", "val_diversity"} <= set(
        curve.splitlines()[0].split(",")
    )
    project.dvc("plots", "show", "--out", str(project / "plots"))
    said = project.command("degrain", "sampling", "--count", "2")
    assert "predicted by real squared error:" in said
    restore = ("denoise", "images/test", "-o", "out", "--samples", "2", "--model")
    project.command("degrain", *restore, "models/train/generator.safetensors")
    names = {path.name for path in (project / "out").iterdir()}
    assert names == {f"astronaut.{kind}.png" for kind in ("sample-01", "sample-02", "mean", "std")}


@pytest.mark.parametrize("option", ["train.lrr=1", "+train.lrr=1"])
def test_misspelt_setting_fails_before_anything_runs(project: Project, option: str) -> None:
    kept = ("data/raw", "data/patches", "data/noisy", "data/restored", "models", "reports", "dvc.lock")
    before = project.hashes(*kept)
    output = project.dvc("exp", "run", "-S", option, code=255)
    assert "lrr" in output
    assert set(stages_run(output)) <= {"sources"}
    assert project.hashes(*kept) == before
    if option.startswith("+"):
        assert "params.yaml: train.lrr is not a setting; did you mean train.lr?" in output


def table_of(project: Project, experiment: str) -> str:
    commit = project.git("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{experiment}").strip()
    return project.git("show", f"{commit}:reports/table.md")


def test_queued_experiments_run_side_by_side_on_their_own_code(tracked_project: Project) -> None:
    project = tracked_project
    project.dvc("exp", "run", "--queue", "--name", "as-it-is", "-S", "train.steps=3")
    title = '"adversarial": "'
    project.replace("src/degrain/evaluation/tables.py", title, f"{title}edited ")
    project.dvc("exp", "run", "--queue", "--name", "edited", "-S", "train.steps=4")
    project.git("checkout", "--quiet", "src")

    output = project.dvc("exp", "run", "--run-all", "--jobs", "2")
    assert "edited" not in table_of(project, "as-it-is"), output
    assert "edited" in table_of(project, "edited"), output
    trainings = [run for run in stored_runs(project, "train") if "dvc.exp" in run.tags]
    assert {run.tags["dvc.exp"] for run in trainings} == {"as-it-is", "edited"}
    assert [run.status for run in trainings] == ["FINISHED"] * 2

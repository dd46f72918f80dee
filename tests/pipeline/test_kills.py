"""Trainings that are killed, left behind or diverge."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from pipeline_support import PATIENCE_S, Project, has_ended, kill_group, stages_run, stored_runs, wait_for

MADE = ("data", "models", "reports")


def checkpoints(project: Project, stage: str) -> list[Path]:
    return list((project / ".checkpoints" / stage).glob("*/state.pt"))


def stage_process(project: Project, stage: str) -> psutil.Process:
    return psutil.Process(int((project / f"held-{stage}").read_text()))


@pytest.mark.parametrize(("stage", "which"), [("pretrain", "project"), ("train", "tracked_project")])
def test_killed_training_resumes_to_the_same_bytes(
    stage: str, which: str, request: pytest.FixtureRequest
) -> None:
    project: Project = request.getfixturevalue(which)
    before, lock, known = project.hashes(*MADE), project.lock(), stored_runs(project, stage)
    project.forget(stage)
    dvc = project.start_and_hold(stage, step=4)
    training = stage_process(project, stage)
    kill_group(dvc)
    assert has_ended(training)
    project.release(stage)
    assert not (project / "models" / stage).exists()
    assert len(checkpoints(project, stage)) == 1

    output = project.dvc("repro")
    assert stages_run(output) == ["sources", stage]
    assert f"{stage}: resuming from the checkpoint at step 3" in output
    assert project.hashes(*MADE) == before
    assert project.lock() == lock
    assert checkpoints(project, stage) == []
    if which == "tracked_project":
        *earlier, run = stored_runs(project, stage)
        assert earlier == known
        assert run.status == "FINISHED"
        assert run.steps == [1, 2, 3, 4, 5, 6]  # none missing, none twice


def test_second_dvc_waits_for_a_training_whose_dvc_was_killed_and_takes_it_over(project: Project) -> None:
    before, lock = project.hashes(*MADE), project.lock()
    project.forget("train")
    dvc = project.start_and_hold("train", step=4)
    orphan = stage_process(project, "train")
    os.kill(dvc.pid, signal.SIGKILL)
    dvc.wait()
    assert not has_ended(orphan)

    log = project / ".dvc/tmp/second.log"
    second = project.start("dvc", "repro", log=log)
    waiting = f"train is still being run in this folder by process {orphan.pid}"
    wait_for(lambda: waiting in log.read_text(), second, log)
    assert not has_ended(orphan)
    assert second.poll() is None
    project.release("train")

    assert second.wait(timeout=PATIENCE_S) == 0, log.read_text()
    assert "train: resuming from the checkpoint at step 6" in log.read_text()
    assert has_ended(orphan)
    assert project.hashes(*MADE) == before
    assert project.lock() == lock
    assert checkpoints(project, "train") == []


def test_diverging_training_stops_with_the_step_and_the_term_and_keeps_its_checkpoint(
    project: Project,
) -> None:
    project.change_params({"pretrain": {"lr": 1e30, "gradient_clip": 1e30}})
    output = project.dvc("repro", code=255)
    assert stages_run(output) == ["sources", "pretrain"]
    assert "step 2: pixel = " in output
    assert "expected a finite number" in output
    assert "Traceback" not in output
    assert len(checkpoints(project, "pretrain")) == 1
    assert not (project / "models/pretrain/generator.safetensors").exists()


def test_health_of_a_ruined_train_stage_ends_it_with_the_diagnosis(project: Project) -> None:
    project.change_params({"train": {"lr": 1e30, "gradient_clip": 1e30, "health": {"rescues": 1}}})
    output = project.dvc("repro", code=255)
    assert stages_run(output) == ["sources", "train"]
    assert "(rescue 1 of 1)" in output
    assert "train: diverged after 1 rescue:\n  diverged, step " in output
    assert "Lower train.lr" in output
    assert "Traceback" not in output
    assert {path.name for path in checkpoints(project, "train")[0].parent.glob("*.pt")} == {
        "state.pt",
        "healthy.pt",
    }
    assert not (project / "models/train/generator.safetensors").exists()

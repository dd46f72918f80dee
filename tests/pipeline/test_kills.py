"""Trainings that are killed, left behind or diverge."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from pipeline_support import Project, kill_group, stages_run, wait_for

MADE = ("data", "models", "reports", "dvc.lock")


def checkpoints(project: Project, stage: str) -> list[Path]:
    return list((project / ".checkpoints" / stage).glob("*/state.pt"))


def stage_process(project: Project, stage: str) -> psutil.Process:
    return psutil.Process(int((project / f"held-{stage}").read_text()))


@pytest.mark.parametrize("stage", ["pretrain", "train"])
def test_killed_training_resumes_to_the_same_bytes(project: Project, stage: str) -> None:
    before = project.hashes(*MADE)
    project.forget_runs()
    dvc = project.start_and_hold(stage, step=4)
    running = stage_process(project, stage)
    kill_group(dvc)
    psutil.wait_procs([running], timeout=10)
    project.release(stage)
    assert not running.is_running()
    assert not (project / "models" / stage).exists()
    assert len(checkpoints(project, stage)) == 1

    output = project.dvc("repro")
    assert stages_run(output) == ["sources", stage]
    assert f"{stage}: resuming from the checkpoint at step 3" in output
    assert project.hashes(*MADE) == before
    assert checkpoints(project, stage) == []


def test_second_dvc_waits_for_a_training_whose_dvc_was_killed_and_takes_it_over(project: Project) -> None:
    before = project.hashes(*MADE)
    project.forget_runs()
    dvc = project.start_and_hold("train", step=4)
    orphan = stage_process(project, "train")
    os.kill(dvc.pid, signal.SIGKILL)
    dvc.wait()
    assert orphan.is_running()

    log = project / ".dvc/tmp/second.log"
    second = project.start("dvc", "repro", log=".dvc/tmp/second.log")
    waiting = f"train is still being run in this folder by process {orphan.pid}"
    wait_for(lambda: waiting in log.read_text(), log.read_text)
    assert orphan.is_running()
    assert second.poll() is None
    project.release("train")

    assert second.wait(timeout=60) == 0, log.read_text()
    assert "train: resuming from the checkpoint at step 6" in log.read_text()
    assert not orphan.is_running()
    assert project.hashes(*MADE) == before
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

"""The pipeline that generates images, by the real DVC, on a tiny made-up set."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator

import pytest
import yaml

from generation_support import tiny_params, write_set
from pipeline_support import NOWHERE, Project, copy_project, create_project, kill_group, wait_for

PIPELINE = "experiments/generation/dvc.yaml"
STAGES = ["download", "classifier", "dcgan", "evaluate", "semi_supervised", "results"]
# A checkpoint after every step, and a place to stop at.
EDITS = (
    ("CHECKPOINT_SECONDS = 20.0", "CHECKPOINT_SECONDS = 0.0"),
    ("import torch\n", "import torch\nfrom hold import hold\n"),
    (
        "                saved_at = time.monotonic()\n",
        "                saved_at = time.monotonic()\n                hold(course.name, state.step)\n",
    ),
)
MADE = [f"experiments/generation/{name}" for name in ("data", "models", "reports", "dvc.lock")]


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project after its first run of the pipeline, and what that printed; nobody may change it."""
    project = create_project(tmp_path_factory.mktemp("generation") / "first")
    for edit in EDITS:
        project.replace("src/degrain/generation/loop.py", *edit)
    folder = project / "experiments/generation"
    params = tiny_params({"data": {"set": "folder:own"}}).model_dump(mode="json")
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    write_set(folder / "own")
    return project, project.dvc("repro", PIPELINE)


@pytest.fixture
def project(first_run: tuple[Project, str], tmp_path) -> Iterator[Project]:
    copy = copy_project(first_run[0], tmp_path / "project", MLFLOW_TRACKING_URI=NOWHERE)
    yield copy
    copy.stop()


def ran(output: str) -> list[str]:
    return re.findall(r"^Running stage '.*:(.+)':$", output, flags=re.MULTILINE)


def test_one_command_makes_grids_and_a_table(first_run: tuple[Project, str]) -> None:
    project, output = first_run
    assert sorted(ran(output)) == sorted(STAGES)  # DVC takes independent stages in any order
    assert "| generated |" in output
    assert "| mean |" in output
    reports = {path.name for path in (project / "experiments/generation/reports").iterdir()}
    assert reports == {
        *("classifier.csv", "classifier.json", "dcgan.csv", "dcgan.json", "dcgan.png", "dcgan_course.png"),
        *("frechet.csv", "results.md", "semi_supervised.csv", "semi_supervised.json"),
        *("semi_supervised.png", "semi_supervised_curve.csv"),
    }
    assert not list((project / "experiments/generation").rglob("*.pt"))
    kept = project.git("ls-files", "--others", "--exclude-standard", "experiments/generation").splitlines()
    assert not [path for path in kept if "/data/" in path or "/models/" in path]


def test_every_stage_that_trains_or_measures_is_a_run_of_the_projects_mlflow(
    first_run: tuple[Project, str],
) -> None:
    project, _ = first_run
    with contextlib.closing(sqlite3.connect(project / "mlflow.db")) as database:
        runs = dict(database.execute("select name, run_uuid from runs where status = 'FINISHED'"))
        parents = dict(database.execute("select run_uuid, value from tags where key = 'mlflow.parentRunId'"))
        pictures = list((project / "mlartifacts" / runs["dcgan"] / "artifacts/images").glob("samples*.png"))
        metrics = {key for (key,) in database.execute("select key from metrics")}
    assert runs.keys() == {"classifier", "dcgan", "evaluate", "semi_supervised"}
    assert parents == {runs["evaluate"]: runs["dcgan"]}
    assert len(pictures) == 2
    assert {"critic", "test_accuracy", "frechet/generated", "accuracy/labels alone 1"} <= metrics


def test_nothing_is_run_again_and_a_change_reruns_what_depends_on_it(project: Project) -> None:
    assert ran(project.dvc("repro", PIPELINE)) == []
    setting = "experiments/generation/params.yaml:dcgan.width=3"
    assert ran(project.dvc("exp", "run", "-S", setting, PIPELINE)) == ["dcgan", "evaluate", "results"]
    assert "width: 3" in (project / "experiments/generation/params.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("stage", "course"), [("dcgan", "dcgan"), ("semi_supervised", "draw 2, labels alone")]
)
def test_killed_training_goes_on_to_the_same_bytes(project: Project, stage: str, course: str) -> None:
    before, folder, log = project.hashes(*MADE), project / "experiments/generation", project / "held.log"
    (folder / f"hold-{course}").write_text("3")
    command = ("dvc", "repro", "--force", "--single-item", f"{PIPELINE}:{stage}")
    process = project.start(*command, log=log)
    wait_for((folder / f"held-{course}").exists, process, log)
    kill_group(process)
    (folder / f"hold-{course}").unlink()
    assert list((folder / ".checkpoints" / stage).rglob("*.pt"))
    output = project.command(*command)
    assert f"{course}: resuming from the checkpoint at step 3" in output
    assert project.hashes(*MADE) == before
    assert not list((folder / ".checkpoints").rglob("*.pt"))


def test_misspelt_setting_is_named(project: Project) -> None:
    path = project / "experiments/generation/params.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("critic_lr", "critic_rl"), encoding="utf-8")
    output = project.dvc("repro", PIPELINE, code=255)
    assert "params.yaml: dcgan.critic_rl is not a setting; did you mean dcgan.critic_lr?" in output


def test_metrics_are_those_of_the_reports(first_run: tuple[Project, str]) -> None:
    output = first_run[0].dvc("metrics", "show", "--json")  # first, that the main ones are missing
    shown = json.loads(output[output.index("{") :])[""]["data"]
    names = {path.rpartition("/")[2] for path in shown if "generation" in path}
    assert {"classifier.json", "dcgan.json", "semi_supervised.json"} <= names

"""Retraining in CI, told with the workflow's own commands: real DVC, a real remote, a real MLflow server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_support import MARKER, Forge
from degrain.build.generator import read_description
from degrain.build.released import released_path
from mlflow_support import running_server
from pipeline_support import Project, create_project, shoot, write_photo
from support import ROOT

# From the released weights, so that a step or two give a good generator; and a gate that asks for no gain,
# for two steps bring none.
QUICK = {
    "model": read_description(released_path("faithful", 3))[0].model_dump(mode="json"),
    "pretrain": {"start": "auto", "steps": 2, "validate_every": 2},
    "train": {"steps": 2, "validate_every": 2},
    "compute": {"threads": 2},
    "promote": {
        "psnr_gain_db": -0.5,
        "ssim_loss": 0.05,
        "gmsd_rise": 0.05,
        "level_loss_db": 0.5,
        "confidence": 0,
        "ms_per_mpx": 1_000_000_000,  # whoever else is at work
        "floor": {"psnr_db": 20.0, "ssim": 0.3},
    },
}
MODEL = "degrain-rgb"
IDENTITY = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """The address of a real server."""
    with running_server(tmp_path_factory.mktemp("server")) as (address, _):
        yield address


def found_forge(
    folder: Path, changes: dict[str, object], **settings: dict[str, str]
) -> tuple[Forge, Project]:
    """A forge, with somebody's clone of what is on it; the training images lie in DVC."""
    owner = create_project(folder / "owner")
    owner.replace("src/degrain/training/loop.py", "CHECKPOINT_SECONDS = 0.0", "CHECKPOINT_SECONDS = 20.0")
    owner.change_params(changes)
    owner.git("rm", "--quiet", "-r", "--cached", "images/train")
    remote = folder / "remote"
    owner.dvc("remote", "add", "--local", "--default", "here", str(remote))
    owner.dvc("add", "--quiet", "images/train")
    owner.dvc("push", "--quiet")
    owner.git("add", ".")
    owner.git("commit", "--quiet", "--message", "images in DVC")
    origin = folder / "origin.git"
    owner.git("init", "--quiet", "--bare", "--initial-branch", "main", str(origin))
    owner.git("remote", "add", "origin", str(origin))
    owner.git("push", "--quiet", "origin", "main")
    variables = {"DVC_REMOTE_URL": str(remote)}
    return Forge(folder, origin, variables=variables, **settings), owner


def merge(forge: Forge, owner: Project) -> None:
    """What a person does who likes what was proposed."""
    owner.git("pull", "--quiet", "--no-rebase", "origin", "main")
    owner.git("fetch", "--quiet", "origin", "retrain/main")
    owner.git("merge", "--quiet", "--no-edit", "FETCH_HEAD")
    owner.git("push", "--quiet", "origin", "main")
    forge.close_pulls()


def push(owner: Project, message: str) -> None:
    owner.git("add", "--update", ".")
    owner.git("commit", "--quiet", "--message", message)
    owner.git("push", "--quiet", "origin", "main")


@pytest.mark.slow
def test_from_the_first_training_to_a_signal_of_drift(server: str, tmp_path: Path) -> None:
    import mlflow

    registry = mlflow.MlflowClient(server)

    def champion() -> str:
        return registry.get_model_version_by_alias(MODEL, "champion").tags["model.sha256"]

    def proposed_model() -> str:
        return json.loads((forge.state / "artifacts/retrain/decision.json").read_text())["challenger"]

    forge, owner = found_forge(tmp_path, QUICK, secrets={"MLFLOW_TRACKING_URI": server})

    # The first training: proposed, merged, promoted.
    assert forge.run("push") == {"retrain": {"changed": "true", "outcome": "promoted"}, "propose": {}}
    first = proposed_model()
    assert forge.said("pulls") == [["retrain/main", "open"]]
    assert forge.said("statuses") == ["success"]
    [[_, comment]] = forge.said("comments")
    assert comment.startswith(MARKER)
    assert f"{server}/#/experiments/" in comment
    merge(forge, owner)
    # Its own commit, merged, trains nothing and is proposed no more.
    merged = forge.run("push")
    assert merged == {"retrain": {"changed": "false", "outcome": "promoted"}, "promote": {}}
    assert champion() == first

    # Data is added: trained anew, promoted.
    write_photo(owner / "images/train/cat.png", "cat", 60, 120)
    owner.dvc("add", "--quiet", "images/train")
    owner.dvc("push", "--quiet")
    push(owner, "one photograph more")
    assert forge.run("push")["retrain"] == {"changed": "true", "outcome": "promoted"}
    second = proposed_model()
    merge(forge, owner)
    forge.run("push")
    assert champion() == second != first
    assert registry.get_model_version_by_alias(MODEL, "previous").tags["model.sha256"] == first

    # Worse params: refused, and though somebody merges them, the champion stays.
    owner.change_params({"pretrain": {"start": "none"}})
    push(owner, "from nothing")
    assert forge.run("push")["retrain"] == {"changed": "true", "outcome": "refused"}
    assert forge.said("statuses")[-1] == "failure"
    assert "Retraining: refused" in forge.said("comments")[-1][1]
    merge(forge, owner)
    assert list(forge.run("push")) == ["retrain"]
    assert champion() == second

    # A signal of drift, with params: retrained.
    params = "pretrain.start=auto noise.gaussian.train=[0,75]"
    outputs = forge.run("repository_dispatch", client_payload={"params": params})
    assert outputs["retrain"] == {"changed": "true", "outcome": "promoted"}
    assert "| `noise.gaussian.train` | `[0, 55]` | `[0, 75]` |" in forge.said("comments")[-1][1]
    owner.git("fetch", "--quiet", "origin", "retrain/main")
    changed = owner.git("diff", "--name-only", "HEAD", "FETCH_HEAD").split()
    assert {"params.yaml", "dvc.lock", "reports/metrics.json", "reports/curves.png"} <= set(changed)
    assert {path.split("/")[0] for path in changed} == {"params.yaml", "dvc.lock", "reports"}
    assert len(forge.said("pulls")) == len(forge.said("comments")) == 4


@pytest.fixture
def scratch(tmp_path: Path) -> Forge:
    """A forge with a repository that holds the scripts alone."""
    work, origin = tmp_path / "work", tmp_path / "origin.git"
    shutil.copytree(ROOT / ".ci", work / ".ci")
    (work / ".gitignore").write_text("/.venv/\n/build/\n")
    (work / "dvc.lock").write_text("one")
    project = Project(work)
    project.git("init", "--quiet", "--initial-branch", "main")
    project.git("add", ".")
    project.git(*IDENTITY, "commit", "--quiet", "--message", "scripts")
    project.git("clone", "--quiet", "--bare", ".", str(origin))
    return Forge(tmp_path, origin)


def hand_over(clone: Path, lock: str, outcome: str) -> None:
    """What the job that trained leaves for the one that proposes."""
    project = Project(clone)
    (clone / "dvc.lock").write_text(lock)
    project.git(*IDENTITY, "commit", "--quiet", "--all", "--message", "Retrain")
    (clone / "build/retrain").mkdir(parents=True)
    project.git("bundle", "create", "--quiet", "build/retrain/retrain.bundle", "HEAD~1..HEAD")
    project.git("reset", "--quiet", "--hard", "HEAD~1")
    (clone / "build/retrain/outcome").write_text(f"{outcome}\n")
    (clone / "build/retrain/report.md").write_text(f"{MARKER}\n{outcome} with {lock}\n")


def test_a_second_proposal_takes_the_place_of_the_first(scratch: Forge) -> None:
    for lock, outcome in (("two", "promoted"), ("three", "refused")):
        clone = scratch.checkout(lock)
        hand_over(clone, lock, outcome)
        scratch.command("bash .ci/retrain propose", clone)
    assert scratch.said("pulls") == [["retrain/main", "open"]]
    assert scratch.said("comments") == [["1", f"{MARKER}\nrefused with three\n"]]
    assert scratch.said("statuses") == ["success", "failure"]
    origin = Project(scratch.origin)
    assert origin.git("show", "retrain/main:dvc.lock") == "three"
    assert origin.git("show", "main:dvc.lock") == "one"
    assert origin.git("rev-list", "--count", "main..retrain/main").strip() == "1"


def test_gitlab_is_asked_by_the_push_itself(scratch: Forge) -> None:
    Project(scratch.origin).git("config", "receive.advertisePushOptions", "true")
    hook = scratch.origin / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\nenv | grep ^GIT_PUSH_OPTION_[0-9] | cut -d= -f2- > asked\n")
    hook.chmod(0o755)
    clone = scratch.checkout("clone")
    hand_over(clone, "two", "promoted")
    forge = {"GITLAB_CI": "true", "GITHUB_REF_NAME": "", "CI_COMMIT_BRANCH": "main"}
    scratch.command("bash .ci/retrain propose", clone, RETRAIN_PUSH_URL=str(scratch.origin), **forge)
    assert (scratch.origin / "asked").read_text().splitlines() == [
        "merge_request.create",
        "merge_request.target=main",
        "merge_request.title=Retrain main: promoted",
    ]
    assert Project(scratch.origin).git("show", "retrain/main:dvc.lock") == "two"


def test_the_store_goes_from_run_to_run_where_there_is_no_server(scratch: Forge) -> None:
    first = scratch.checkout("first")
    printed, _ = scratch.command("bash .ci/retrain restore", first)
    assert printed == "No store of MLflow was kept: a new one begins\n"
    (first / "mlartifacts/1").mkdir(parents=True)
    (first / "mlartifacts/1/weights").write_text("weights")
    (first / "mlflow.db").write_text("runs")
    scratch.command("bash .ci/retrain keep", first)
    scratch.upload(first, name="mlflow-store", path="build/retrain/mlflow-store.tar")

    second = scratch.checkout("second")
    scratch.command("bash .ci/retrain restore", second)
    assert (second / "mlflow.db").read_text() == "runs"
    assert (second / "mlartifacts/1/weights").read_text() == "weights"

    served = scratch.checkout("served")
    scratch.command("bash .ci/retrain restore keep", served, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert not (served / "mlflow.db").exists()
    assert not (served / "build/retrain/mlflow-store.tar").exists()


def test_the_cheap_check_names_what_would_run(project: Project) -> None:
    """In a clone without any data of the pipeline, too."""
    project.git("add", ".")
    project.git("commit", "--quiet", "--message", "trained")
    shutil.rmtree(project / "data")
    shutil.rmtree(project / "models")

    def says(what: str) -> bool:
        return what in project.command("bash", ".ci/retrain", "check")

    assert says("Nothing to train: main has the results")
    project.command("degrain", "set", "train.steps=3")
    assert says("To train: train, and what depends on that")
    write_photo(project / "images/train/cat.png", "cat", 60, 120)
    assert says("To train: download")


def test_nothing_trained_proposes_nothing(scratch: Forge) -> None:
    clone = scratch.checkout("clone")
    printed, _ = scratch.command("bash .ci/retrain propose", clone)
    assert printed == "Nothing to propose\n"
    assert not (scratch.state / "calls").exists()


def test_an_unknown_step_is_an_error(scratch: Forge) -> None:
    printed, _ = scratch.command("bash .ci/retrain pull", scratch.checkout("clone"), code=2)
    assert "pull: no such step; expected: restore update check" in printed


def test_drift_alone_asks_for_a_training(scratch: Forge) -> None:
    clone = scratch.checkout("clone")
    shoot(clone / "known", 10)
    shoot(clone / "incoming", 25)

    def check(images: str) -> None:
        command = f"bash .ci/drift {images} --reference known"
        settings = {"PARAMS": "noise.gaussian.train=[0,75] $(id)", "PYTHONPATH": str(ROOT / "src")}
        scratch.command(command, clone, **settings)

    check("known")
    assert not (scratch.state / "calls").exists()
    check("incoming")
    [call] = scratch.calls()
    assert call[1] == "repos/owner/photos/dispatches"
    assert "event_type=drift" in call
    assert "client_payload[params]=noise.gaussian.train=[0,75] $(id)" in call

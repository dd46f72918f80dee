"""docs/data.md: its commands, run in order by the real DVC, with a real S3 server."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image

from degrain.cli import main
from degrain.files import read_rows
from pipeline_support import NOWHERE, Project, create_project, stages_run, write_photo
from support import ROOT

DOCS = (ROOT / "docs/data.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ {4}((?:git|dvc|degrain) .*)$", DOCS, flags=re.MULTILINE)
IN_THE_CLONE = COMMANDS.index("dvc pull data/own.dvc data/photos.dvc")
HERE, THERE = COMMANDS[:IN_THE_CLONE], COMMANDS[IN_THE_CLONE : IN_THE_CLONE + 2]
# The last commands compare, with what the pipeline was made for and then with the images themselves.
DRIFT = dict(zip(COMMANDS[IN_THE_CLONE + 2 :], [4, 4, 0, 0], strict=True))
BUCKETS = ("photos", "models")


@pytest.fixture
def s3(monkeypatch) -> Iterator[dict[str, str]]:
    """The environment of an S3 server with the buckets of the docs, and a photograph in one."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield variables
    server.stop()


@pytest.fixture
def project(s3: dict[str, str], tmp_path: Path) -> Iterator[Project]:
    """A project that has run nothing yet, with the files that the docs speak of; /srv is in tmp_path."""
    project = create_project(tmp_path / "project")
    project.variables.update(s3, MLFLOW_TRACKING_URI=NOWHERE)
    write_photo(project / "data/own/a.png", "coffee", 100, 200)
    write_photo(tmp_path / "srv/photos/b.png", "rocket", 60, 250)
    client = boto3.client("s3")
    for bucket in BUCKETS:
        client.create_bucket(Bucket=bucket)
    client.upload_file(str(tmp_path / "srv/photos/b.png"), "photos", "2026/b.png")
    project.change_params({"data": {"train": ["folder:data/own", "folder:data/photos"]}})
    yield project
    project.stop()


def run(project: Project, command: str, srv: Path) -> str:
    """A command of the docs; of the pipeline the stages on clean images, for the rest is tested elsewhere."""
    words = shlex.split(command.replace("/srv", str(srv)))
    return project.command(*words, *(["download"] if words[:2] == ["dvc", "repro"] else []))


def test_own_images_reach_a_clone_through_a_folder(tmp_path: Path) -> None:
    project = create_project(tmp_path / "project")
    write_photo(project / "data/own/a.png", "coffee", 100, 200)
    project.dvc("add", "data/own")
    project.dvc("remote", "add", "--default", "disk", str(tmp_path / "remote"))
    project.git("add", ".")
    project.git("commit", "--quiet", "--message", "own")
    assert "data/own.dvc" in project.git("ls-files").splitlines()
    assert "2 files pushed" in project.dvc("push")

    project.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.dvc("pull", "data/own.dvc")
    assert clone.hashes("data/own") == project.hashes("data/own")


@pytest.mark.slow
def test_commands_share_own_images_and_what_was_made_of_them(project: Project, tmp_path: Path) -> None:
    srv = tmp_path / "srv"
    for command in HERE:
        run(project, command, srv)
    assert project.git("status", "--short") == ""
    assert not re.search(r"^data/.*\.png$", project.git("ls-files"), flags=re.MULTILINE)

    project.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone", project.variables)
    (project / ".dvc/cache").rename(tmp_path / "gone")
    (srv / "dvc").rename(tmp_path / "away")  # the bucket alone is left
    assert "dvc pull data/own.dvc" in clone.dvc("repro", "download", code=255)
    for command in THERE:
        output = run(clone, command, srv)
    assert stages_run(output) == ["sources"]
    made = ("data/own", "data/photos", "data/raw", "data/checks")
    assert clone.hashes(*made) == project.hashes(*made)
    sets = {row["set"] for row in read_rows(clone / "data/raw/manifest.csv") if row["split"] == "train"}
    assert sets == {"folder:data/own", "folder:data/photos"}


def test_drift_commands_compare_with_what_the_pipeline_measured(
    finished: Project, tmp_path: Path, monkeypatch
) -> None:
    shutil.copytree(finished / "reports", tmp_path / "reports")
    monkeypatch.chdir(tmp_path)
    stock_incoming(tmp_path / "incoming")
    for command, code in DRIFT.items():
        assert main(shlex.split(command)[1:]) == code, command
    assert (tmp_path / "drift/monday/drift.html").is_file()


def stock_incoming(folder: Path) -> None:
    """Photographs with less noise than the tiny pipeline's."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(16):
        path = folder / f"{number}.png"
        write_photo(path, "coffee", 20 * number, 30 * number)
        noisy = np.asarray(Image.open(path)) + rng.normal(0, 8, (64, 70, 3))
        Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)).save(path)
